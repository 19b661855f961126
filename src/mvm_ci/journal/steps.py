"""What goes into the replay machine and what it says: limits, identity, steps."""

from typing import Final, TypeAlias

import msgspec

from mvm_ci.domain.errors import MvmCiError
from mvm_ci.domain.http import HttpResult
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.outcome import Failure
from mvm_ci.domain.secrets import SecretValue
from mvm_ci.journal.describe import storable

_MESSAGE_CHARACTERS: Final = 500
_DETAIL_CHARACTERS: Final = 16_000


class JournalLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one execution. ``entries``; ``bytes`` of encoded entries; ``log_bytes`` of text (UTF-8)."""

    entries: int = 100_000
    bytes: int = 64 << 20
    log_bytes: int = 16 << 20


class LimitReached(MvmCiError):
    """The call would break a limit. The execution ends with ``failure``."""

    code = "journal-limit"

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What an execution is: the ``attempt`` of ``job``, running ``module`` on ``input``; it may read
    ``secrets``.
    """

    job: JobId
    attempt: int
    module: Digest
    input: Digest
    secrets: tuple[SecretValue, ...] = ()


class Wait(msgspec.Struct, frozen=True, gc=False):
    """The guest goes on when the host's wall clock reaches ``wake_wall_ns`` (Unix)."""

    wake_wall_ns: int


class Answer(msgspec.Struct, frozen=True):
    """The request is answered already. ``flush``: all entries must be durable before the guest sees it."""

    result: HttpResult
    flush: bool


class Perform(msgspec.Struct, frozen=True):
    """Make all entries durable, perform the request with ``key``, then call ``Replay.performed`` with this.

    ``once``: it is never repeated, so its result must be durable, too, before the guest sees it.
    """

    key: str
    once: bool
    digest: Digest
    summary: str


class Ask(msgspec.Struct, frozen=True):
    """Make all entries durable, ask the control plane with ``key``, then call ``Replay.answered`` with
    this.
    """

    key: str
    digest: Digest
    summary: str


class MailWait(msgspec.Struct, frozen=True, gc=False):
    """The guest waits for mail, at most until ``wake_wall_ns`` (Unix; None: as long as it takes).

    ``wake_ns``: the same on its own clock.
    """

    wake_ns: int
    wake_wall_ns: int | None


HttpStep: TypeAlias = Answer | Perform


def bounded(failure: Failure) -> Failure:
    """``failure`` as an entry and a row may hold it: its texts cut where they get too long."""
    return Failure(
        kind=failure.kind,
        message=_cut(storable(failure.message), _MESSAGE_CHARACTERS),
        detail=_cut(storable(failure.detail), _DETAIL_CHARACTERS),
    )


def _cut(text: str, limit: int) -> str:
    """The end matters in a traceback, the beginning in a message: keep both."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} … {text[-half:]}"

"""The HTTP API's requests and answers, as JSON. The server decodes and the client encodes with these same
types.

Job ids and digests are text; times are Unix milliseconds; errors are ``Problem`` (RFC 9457,
``application/problem+json``) whose
``code`` is one of the codes in ``mvm_ci.domain.errors``.
"""

from typing import Any, Final

import msgspec

API_PORT: Final = 3020
MAX_BODY: Final = 8 << 20
"""Bytes of a JSON request body."""
MAX_JOBS_PER_REQUEST: Final = 10_000
MAX_INPUT: Final = 1 << 20
"""Bytes of one job's input."""
MAX_WAIT_S: Final = 60.0


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error. ``title`` is fixed for a code; ``detail`` says what, where and what to do."""

    type: str
    title: str
    status: int
    code: str
    detail: str


class SubmitJob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One job. ``module``: digest; ``input``: any JSON value, which the guest gets as UTF-8 text."""

    module: str
    # A factory, because the schema generator cannot show a Raw default.
    input: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))
    name: str = ""
    allow_hosts: tuple[str, ...] | None = None
    """Hosts it may call; left out: those of the module's manifest."""
    max_attempts: int = 1
    timeout_s: float = 3600.0
    memory_mb: int = 256


class SubmitJobs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """``POST /v1/jobs``: all jobs or none. ``wait_s``: answer when all have ended, or after so many
    seconds.
    """

    jobs: tuple[SubmitJob, ...]
    wait_s: float = 0.0


class FailureView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a job failed, is paused, or was tried again."""

    kind: str
    message: str
    detail: str = ""


class JobView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job. ``result`` if it is JSON and inline, ``result_base64`` if it is other bytes; large results:
    ``/result``.
    """

    id: str
    state: str
    name: str = ""
    module: str = ""
    attempt: int = 1
    epoch: int = 0
    losses: int = 0
    journal_length: int = 0
    created_ms: int = 0
    started_ms: int | None = None
    finished_ms: int | None = None
    wake_ms: int | None = None
    worker: str | None = None
    """The name of the worker that holds it."""
    failure: FailureView | None = None
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    result_base64: str | None = None
    result_size: int | None = None


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a submission, in the order of the request.

    Of each job ``id`` and ``state``; after a wait its result or failure, too.
    """

    jobs: tuple[JobView, ...]


class JobList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``GET /v1/jobs?state=&limit=&cursor=&prefix=``: newest first. ``cursor``: pass it to get the next
    page.
    """

    jobs: tuple[JobView, ...]
    cursor: str | None = None


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a guest's output. ``index``: its entry in the journal of ``attempt``, by which a reader
    goes on.
    """

    attempt: int
    index: int
    at_ms: int
    stream: str
    text: str


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One journal entry for people. ``kind``: its type's name; ``summary``: one line; ``fields``: the rest
    as JSON.
    """

    index: int
    kind: str
    summary: str
    epoch: int
    place: str
    fields: dict[str, Any] = {}


class JournalView(msgspec.Struct, frozen=True, kw_only=True):
    """``GET /v1/jobs/{id}/journal?attempt=&from=&limit=``."""

    job: str
    attempt: int
    length: int
    entries: tuple[JournalEntry, ...]


class CancelView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a cancellation: ``done``, ``stopping`` or ``already``."""

    id: str
    cancelled: str


class ModuleView(msgspec.Struct, frozen=True, kw_only=True):
    """A module."""

    digest: str
    name: str
    kind: str
    size: int
    created_ms: int
    allow_hosts: tuple[str, ...]


class ModuleList(msgspec.Struct, frozen=True, kw_only=True):
    """``GET /v1/modules?prefix=``, newest first."""

    modules: tuple[ModuleView, ...]


class WorkerView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A worker. ``state``: active, draining or revoked; ``connected``: whether its lease is held now;
    ``path``: direct or relayed, null while no connection stands.
    """

    id: str
    name: str
    state: str
    connected: bool
    path: str | None = None
    slots: int = 0
    running: int = 0
    version: str = ""
    platform: str = ""
    joined_ms: int = 0
    seen_ms: int = 0
    session: int | None = None
    lease_left_ms: int | None = None


class WorkerList(msgspec.Struct, frozen=True, kw_only=True):
    """``GET /v1/workers``."""

    workers: tuple[WorkerView, ...]


class CreateJoinToken(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """``POST /v1/join-tokens``."""

    uses: int = 1
    ttl_s: int = 3600


class JoinTokenView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A join token; ``token``, the secret, only in the answer to its creation."""

    id: str
    uses_left: int
    created_ms: int
    expires_ms: int
    token: str | None = None


class JoinTokenList(msgspec.Struct, frozen=True, kw_only=True):
    """``GET /v1/join-tokens``."""

    tokens: tuple[JoinTokenView, ...]


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """``GET /v1/ticket``: where workers find the control plane."""

    ticket: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """``GET /v1/status``: the control plane at a glance. ``jobs``: counts by state."""

    version: str
    started_ms: int
    jobs: dict[str, int]
    workers: int
    connected: int
    slots: int
    stale_refused: int
    """Reports and appends refused because their placement was over, since the start."""

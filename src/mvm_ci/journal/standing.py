"""Where an execution stands: what all parts of the replay machine share."""

from hashlib import sha256
from typing import Any, Final

import msgspec

from mvm_ci.domain.ids import Digest, format_job_id
from mvm_ci.domain.segment import Segment
from mvm_ci.journal.chance import RandomStream
from mvm_ci.journal.disclosed import Disclosed
from mvm_ci.journal.entries import Began, CancelSeen
from mvm_ci.journal.ledger import Ledger
from mvm_ci.journal.steps import Identity, JournalLimits

NS_PER_MS: Final = 1_000_000
_LATEST_NS: Final = (1 << 63) - 1
_encode: Final = msgspec.msgpack.Encoder().encode


class Standing:
    """One placement of one execution: its journal, its clock, its randomness, and what it has counted.

    ``disclosed``: what the guest knows of its secrets; what it has recorded was masked with that before.
    """

    __slots__ = (
        "_began",
        "_cancelled",
        "_floor_ns",
        "_identity",
        "_ledger",
        "_limits",
        "_log_bytes",
        "_open",
        "_random",
        "_requests",
        "disclosed",
    )

    def __init__(self, identity: Identity, began: Began, ledger: Ledger, limits: JournalLimits) -> None:
        self.disclosed = Disclosed(identity.secrets)
        self._identity = identity
        self._began = began
        self._ledger = ledger
        self._limits = limits
        self._random = RandomStream(began.seed)
        self._floor_ns = 0
        self._log_bytes = 0
        self._requests = 0
        self._open: set[str] = set()
        self._cancelled = False

    @property
    def identity(self) -> Identity:
        """What is executed."""
        return self._identity

    @property
    def was_cancelled(self) -> bool:
        """Whether the guest knows that its job is being cancelled."""
        return self._cancelled

    def cancelled(self, *, asked: bool) -> bool:
        """Whether the guest learns at this call that its job is being cancelled: once. ``asked``: it is."""
        ledger = self._ledger
        if ledger.current is None:
            if not asked or self._cancelled:
                return False
            ledger.write(CancelSeen())
        elif isinstance(ledger.current, CancelSeen):
            ledger.advance()
        else:
            return False
        self._cancelled = True
        return True

    @property
    def replaying(self) -> bool:
        """Whether recorded calls of the guest are left."""
        return self._ledger.current is not None

    @property
    def unposted(self) -> int:
        """Bytes of new entries that ``take`` has not handed out."""
        return self._ledger.unposted

    def take(self) -> list[Segment]:
        """The new entries that were not handed out before, in order."""
        return self._ledger.take()

    def random(self, size: int) -> bytes:
        """The next random bytes: the same ones at every replay."""
        return self._random.read(size)

    def _next_key(self) -> str:
        """The idempotency key of the execution's next request to the outside.

        Not made of its entry's index: that differs if another placement began before the repetition.
        """
        number = self._requests
        self._requests += 1
        return f"{format_job_id(self._identity.job)}-{self._identity.attempt}-{number}"

    def _monotonic(self, now_ns: int) -> int:
        return max(self._floor_ns, now_ns - self._began.wall_ns)


def time_of(ns: int) -> int:
    """A guest's time or duration as a journal can hold it."""
    return min(max(ns, 0), _LATEST_NS)


def digest_of(asked: Any) -> Digest:  # noqa: ANN401 - anything that MessagePack can hold
    """What identifies a request in a journal."""
    return Digest(sha256(_encode(asked)).hexdigest())

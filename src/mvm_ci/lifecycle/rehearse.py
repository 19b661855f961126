"""Rehearse: an execution is run again from its journal, with no effect at all, to the end of the journal.

It says whether a guest agrees with the journal, and what it would do next. The guest may be of another build
than the one that wrote the journal: that is what one rehearses for.
"""

from collections.abc import Callable, Coroutine, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias

import msgspec

from mvm_ci.domain.errors import CorruptJournal, NondeterminismDetected
from mvm_ci.domain.http import HttpRequest
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.mail import shown_topic
from mvm_ci.domain.outcome import FailureKind, Suspended
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.segment import Segment
from mvm_ci.files.given import GivenFile
from mvm_ci.journal.codec import decode
from mvm_ci.journal.describe import describe, summarize, summarize_call
from mvm_ci.journal.entries import (
    ClockRead,
    Entry,
    Finished,
    HttpDone,
    HttpIntent,
    Logged,
    Placement,
    SecretRead,
)
from mvm_ci.journal.ledger import Ledger, check
from mvm_ci.journal.replay import Replay
from mvm_ci.journal.steps import JournalLimits
from mvm_ci.lifecycle.calls import Calls
from mvm_ci.lifecycle.execute import Execution, ExecutionLimits, identity_of, run_guest
from mvm_ci.ports.guest import Guest, Unwind

ENDED, SLEEPS, COMPUTES, GOES_ON = "ended", "sleeps", "computes", "goes-on"
"""Where a guest stands when all that is recorded was repeated."""
_NS_PER_MS: Final = 1_000_000
_FROM_OUTSIDE: Final = frozenset({FailureKind.TIME, FailureKind.JOURNAL, FailureKind.OUTPUT})
"""Ends that a guest was brought to where it stood: no call of its own leads there."""
_NEXT: Final[dict[type[Entry], Callable[[Any], str]]] = {
    HttpIntent: lambda entry: f"request {entry.summary}",
    HttpDone: lambda entry: f"be told that its request {entry.summary} was interrupted",
    Logged: lambda entry: f"write {describe(entry).replace(' written to ', ' to ')}",
    ClockRead: lambda entry: f"read the {'wall' if entry.wall else 'monotonic'} clock",
    Finished: lambda entry: f"come to {describe(entry)}",
}
"""What a guest does that makes such an entry, where "ask for" and the entry's description say it badly."""


class Agrees(msgspec.Struct, frozen=True, kw_only=True, tag="agrees"):
    """The guest repeated all of the journal's ``entries``. ``stands``: where it is then: ``ended``;
    ``sleeps`` until ``wake_ms`` (Unix); ``computes``; or ``goes-on``: ``next`` completes "it would now ...".
    """

    entries: int
    stands: str
    next: str = ""
    wake_ms: int | None = None


class Departs(msgspec.Struct, frozen=True, kw_only=True, tag="departs"):
    """At entry ``index`` the guest ``asked`` for something else than was ``recorded``; both in words."""

    index: int
    recorded: str
    asked: str


class Damaged(msgspec.Struct, frozen=True, kw_only=True, tag="damaged"):
    """The journal cannot be replayed here, whatever the guest does."""

    reason: str


class Undecided(msgspec.Struct, frozen=True, kw_only=True, tag="undecided"):
    """The guest could not be run far enough."""

    reason: str


Verdict: TypeAlias = Agrees | Departs | Damaged | Undecided


class Reached(Unwind):
    """The guest would do something that is not recorded: ``words`` complete "it would now ..."."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class Asleep(Unwind):
    """The guest sleeps until ``wake_ms`` (Unix)."""

    def __init__(self, wake_ms: int) -> None:
        super().__init__("the guest sleeps")
        self.wake_ms = wake_ms


class RehearsalHost:
    """An ``ExecutionHost`` outside of which nothing happens. ``caught_up``: called when all that is recorded
    was repeated; ``wrote``: gets what the guest writes.
    """

    def __init__(
        self,
        now_ns: Callable[[], int],
        get_blob: Callable[[BlobRef], Coroutine[Any, Any, bytes]],
        caught_up: Callable[[], None],
        wrote: Callable[[str, str], None],
    ) -> None:
        self.wall_ns = now_ns
        self.get_blob = get_blob
        self.caught_up = caught_up
        self.wrote = wrote
        self._artifact: BlobRef | None = None
        self._bytes = b""

    async def give_way(self) -> None:
        """Nobody else is there."""

    async def put_blob(self, data: bytes) -> BlobRef:
        """What it would be stored as: nobody else needs it."""
        return BlobRef(Digest(sha256(data).hexdigest()), len(data))

    async def spool(self, name: str, offset: int, data: bytes) -> None:
        """What an artifact would be made of: it goes nowhere."""

    async def read_artifact(self, ref: BlobRef, offset: int, size: int) -> bytes:
        """Part of an artifact, which is in memory as a whole meanwhile. Raises ``NotFound``."""
        if ref != self._artifact:
            self._artifact, self._bytes = ref, await self.get_blob(ref)
        return self._bytes[offset : offset + size]

    def cancelled(self) -> bool:
        return False

    async def ask(self, name: str, key: str, argument: bytes) -> NoReturn:  # noqa: ARG002 - the port's
        raise Reached(f"ask for {summarize_call(name, argument)}")

    def tell(self, name: str, argument: bytes) -> NoReturn:
        raise RuntimeError(f"a rehearsal told {name} with {len(argument)} bytes")

    async def mail(self, topics: tuple[str, ...], until_wall_ns: int) -> NoReturn:  # noqa: ARG002 - the port's
        raise Reached(_wait(topics))

    async def http(self, request: HttpRequest, idempotency_key: str, *, whole: bool = False) -> NoReturn:  # noqa: ARG002 - the port's
        raise Reached(f"request {summarize(request)}")

    async def wait_until(self, wall_ns: int) -> NoReturn:
        raise Asleep(-(-wall_ns // _NS_PER_MS))

    def random_seed(self) -> NoReturn:
        raise RuntimeError("an execution begins in a rehearsal")

    def post(self, segment: Segment) -> NoReturn:
        raise RuntimeError(f"a rehearsal wrote {segment.count} entries")

    async def flush(self) -> NoReturn:
        raise RuntimeError("a rehearsal wrote entries")


class _ClosedLedger(Ledger):
    """The recorded entries; there will be no others. ``departure``: the first disagreement."""

    __slots__ = ("_caught_up", "departure")

    def __init__(
        self,
        recorded: Sequence[Entry],
        recorded_bytes: int,
        placement: Placement,
        limits: JournalLimits,
        caught_up: Callable[[], None],
    ) -> None:
        self.departure: NondeterminismDetected | None = None
        self._caught_up = caught_up
        super().__init__(recorded, recorded_bytes, placement, limits)

    def advance(self) -> None:
        super().advance()
        if self.current is None:
            self._caught_up()

    def disagree(self, recorded: Entry, asked: Entry) -> NondeterminismDetected:
        self.departure = super().disagree(recorded, asked)
        return self.departure

    def write(self, entry: Entry) -> NoReturn:
        words = _NEXT.get(type(entry), lambda asked: f"ask for {describe(asked)}")
        raise Reached(words(entry))


class _Watched(Calls):
    """The guest's calls, what it writes told of."""

    __slots__ = ("_wrote",)

    def __init__(
        self,
        machine: Replay,
        host: RehearsalHost,
        limits: ExecutionLimits,
        inputs: tuple[GivenFile, ...],
    ) -> None:
        super().__init__(
            machine,
            host,
            limits.guest,
            limits.suspend_after_ms,
            host.wall_ns(),
            ephemeral=False,
            inputs=inputs,
        )
        self._wrote = host.wrote

    def log(self, stream: str, text: str) -> None:
        super().log(stream, text)
        self._wrote(stream, text)


async def rehearse(
    guest: Guest, execution: Execution, host: RehearsalHost, limits: ExecutionLimits
) -> Verdict:
    """Runs ``guest`` on what the execution's journal records. It need not be of the journal's module.

    Raises only what ``guest.run`` and ``host`` raise against their contracts.
    """
    if not execution.journal:
        return Undecided(reason="there is no journal: the execution has not begun")
    identity = identity_of(execution)
    try:
        recorded = decode(execution.journal)
        began = check(recorded)
    except CorruptJournal as error:
        return Damaged(reason=str(error))
    if any(isinstance(entry, SecretRead) for entry in recorded):
        return Undecided(reason="the job has read secrets, which leave the control plane for its worker only")
    if began.input != identity.input:
        return Damaged(reason=f"the journal is that of another input, {began.input}")
    over = _brought_to_its_end(recorded[-1])
    placement = Placement(execution.epoch, execution.place, 0)
    size = sum(len(segment.data) for segment in execution.journal)
    ledger = _ClosedLedger(
        recorded[:-1] if over else recorded, size, placement, limits.journal, host.caught_up
    )
    calls = _Watched(Replay(identity, began, ledger, limits.journal), host, limits, execution.inputs)
    stands = await _play(guest, execution, calls, limits)
    departure = ledger.departure
    if departure is not None:
        return Departs(index=departure.index, recorded=departure.recorded, asked=departure.asked)
    if over:
        stands = _Stands(ENDED)
    return Agrees(entries=len(recorded), stands=stands.where, next=stands.next, wake_ms=stands.wake_ms)


class _Stands(NamedTuple):
    where: str
    next: str = ""
    wake_ms: int | None = None


async def _play(guest: Guest, execution: Execution, calls: Calls, limits: ExecutionLimits) -> _Stands:
    try:
        outcome = await run_guest(guest, execution.input, calls, limits.guest)
    except Reached as reached:
        return _Stands(GOES_ON, next=reached.words)
    except Asleep as asleep:
        return _Stands(SLEEPS, wake_ms=asleep.wake_ms)
    except NondeterminismDetected:
        return _Stands(ENDED)  # its end is what disagrees
    if isinstance(outcome, Suspended) and outcome.topics:
        return _Stands(GOES_ON, next=_wait(outcome.topics))
    if isinstance(outcome, Suspended):
        return _Stands(SLEEPS, wake_ms=outcome.wake_ms)
    return _Stands(ENDED)


def _wait(topics: tuple[str, ...]) -> str:
    return f"wait for mail about {', '.join(map(shown_topic, topics))}"


def _brought_to_its_end(last: Entry) -> bool:
    return isinstance(last, Finished) and last.failure is not None and last.failure.kind in _FROM_OUTSIDE

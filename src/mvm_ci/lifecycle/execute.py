"""Execute: one placement of a job, from its durable journal to how it ended.

The replay machine decides, the host acts, this is the loop between them, driven by the guest's calls::

    guest ── call ──▶ Calls ── asks ──▶ Replay (sans-IO)
      ▲                 │  ◀─ answer ────┘   new entries
      └──── answer ─────┤                        │
                        └── post, flush, http, wait ──▶ ExecutionHost

When entries go out: all of them whenever the guest waits; before a request leaves; with the placement's
report (its *tail*: one write for a short job); and while the guest just runs, at a call, once 32 KiB have
gathered, or if there is new text and nothing was sent for 200 ms.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Final

import msgspec

from mvm_ci.domain.errors import CorruptJournal, NondeterminismDetected
from mvm_ci.domain.http import HttpRequest, HttpResponse, HttpResult
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.outcome import Completed, Failed, Failure, FailureKind, Outcome, Parked, Suspended
from mvm_ci.domain.payload import INLINE_LIMIT, BlobRef, Payload
from mvm_ci.domain.segment import Segment
from mvm_ci.files.system import FileLimits, FileSystem
from mvm_ci.journal.codec import decode
from mvm_ci.journal.entries import Placement
from mvm_ci.journal.replay import Replay
from mvm_ci.journal.steps import Answer, Identity, JournalLimits, LimitReached, Wait, bounded
from mvm_ci.lifecycle.host_calls import answer
from mvm_ci.ports.execution import ExecutionHost, Leave
from mvm_ci.ports.guest import Guest, GuestFailed, GuestLimits

_NS_PER_MS: Final = 1_000_000
_POST_BYTES: Final = 32 << 10
_POST_AFTER_NS: Final = 200 * _NS_PER_MS


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. ``journal``: all durable segments, in order; ``place``: this worker's name, for people."""

    job: JobId
    attempt: int
    epoch: int
    place: str
    module: Digest
    input: Payload
    journal: tuple[Segment, ...] = ()


class ExecutionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """``suspend_after_ms``: a guest that sleeps longer gives its slot back."""

    guest: GuestLimits = GuestLimits()
    journal: JournalLimits = JournalLimits()
    suspend_after_ms: int = 5_000


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How a placement ended. ``outcome``: None: report nothing, the job belongs to somebody else.

    ``tail``: entries that are not durable yet and must become so together with the outcome. All earlier ones
    are durable.
    """

    outcome: Outcome | None
    tail: Segment | None = None


async def execute(guest: Guest, execution: Execution, host: ExecutionHost, limits: ExecutionLimits) -> Result:
    """Runs ``guest`` until it ends, waits long, has to leave, or disagrees with its journal.

    Raises only what ``guest.run`` and ``host`` raise against their contracts.
    """
    try:
        now_ns = host.wall_ns()
        calls = Calls(_machine(execution, host, limits, now_ns), host, limits, now_ns)
        outcome = await _run(guest, execution.input, calls, limits.guest)
        return Result(outcome=outcome, tail=await calls.tail())
    except (CorruptJournal, NondeterminismDetected) as error:
        return Result(outcome=_parked(error))
    except Leave as leave:
        return Result(outcome=leave.outcome)


def _machine(execution: Execution, host: ExecutionHost, limits: ExecutionLimits, now_ns: int) -> Replay:
    placement = Placement(execution.epoch, execution.place, now_ns // _NS_PER_MS)
    given = execution.input
    identity = Identity(
        job=execution.job,
        attempt=execution.attempt,
        module=execution.module,
        input=given.digest if isinstance(given, BlobRef) else Digest(sha256(given).hexdigest()),
    )
    if not execution.journal:
        return Replay.begin(identity, placement, limits.journal, seed=host.random_seed(), now_ns=now_ns)
    return Replay.resume(
        identity,
        placement,
        limits.journal,
        recorded=decode(execution.journal),
        recorded_bytes=sum(len(segment.data) for segment in execution.journal),
    )


async def _run(guest: Guest, given: Payload, calls: "Calls", limits: GuestLimits) -> Outcome:
    """The guest's life, and its end as an entry."""
    try:
        result = await guest.run(await calls.load(given), calls, limits)
    except GuestFailed as failed:
        failure = bounded(failed.failure)
        calls.machine.finish(failure)
        return Failed(failure)
    except Leave as leave:
        if leave.outcome is None:
            raise
        if isinstance(leave.outcome, Failed):
            calls.machine.abandon(leave.outcome.failure)
        return leave.outcome
    kept = await calls.store(result)
    calls.machine.finish(kept)
    return Completed(kept)


def _parked(error: CorruptJournal | NondeterminismDetected) -> Parked:
    kind = FailureKind.ENGINE if isinstance(error, CorruptJournal) else FailureKind.NONDETERMINISM
    return Parked(Failure(kind=kind, message=str(error)))


class Calls:
    """The guest's host calls (``ports.guest.HostCalls``): each asks the machine and does what it says.

    What the machine raises leaves the guest as ``Leave``: parked, or failed at a limit.
    """

    __slots__ = (
        "_files",
        "_host",
        "_limits",
        "_posted",
        "_posted_ns",
        "_shows",
        "_suspend_after_ns",
        "machine",
    )

    def __init__(self, machine: Replay, host: ExecutionHost, limits: ExecutionLimits, now_ns: int) -> None:
        self.machine = machine
        self._host = host
        self._limits = limits.guest
        self._files: FileSystem | None = None  # most guests have none
        self._suspend_after_ns = limits.suspend_after_ms * _NS_PER_MS
        self._posted = False  # something was posted and perhaps is not durable
        self._posted_ns = now_ns
        self._shows = False  # text is waiting to be posted

    @property
    def files(self) -> FileSystem:
        if self._files is None:
            self._files = FileSystem(FileLimits(bytes=self._limits.memory_bytes))
        return self._files

    def wall_clock_ns(self) -> int:
        return self._clock(wall=True)

    def monotonic_ns(self) -> int:
        return self._clock(wall=False)

    def random(self, size: int) -> bytes:
        return self.machine.random(size)

    async def give_way(self) -> None:
        await self._host.give_way()

    async def sleep_until(self, monotonic_ns: int) -> None:
        await self._sleep(self.machine.sleep_until, monotonic_ns)

    async def sleep_for(self, duration_ns: int) -> None:
        await self._sleep(self.machine.sleep_for, duration_ns)

    async def http(self, request: HttpRequest) -> HttpResult:
        host, machine = self._host, self.machine
        began_ns = host.wall_ns()
        try:
            step = machine.http(request, began_ns)
        except (LimitReached, NondeterminismDetected) as error:
            raise _leave(error) from error
        if isinstance(step, Answer):
            if step.flush:
                await self._flush()
            return await self._loaded(step.result)
        await self._flush()
        result = await host.http(request, step.key)
        seen = machine.performed(step, result, began_ns=began_ns, ended_ns=host.wall_ns())
        if step.once:
            await self._flush()
        return await self._loaded(seen)

    async def call(self, name: str, argument: bytes) -> bytes:
        try:
            return await answer(self, name, argument)
        except (LimitReached, NondeterminismDetected) as error:
            raise _leave(error) from error

    def log(self, stream: str, text: str) -> None:
        now_ns = self._host.wall_ns()
        try:
            new = self.machine.log(stream, text, now_ns)
        except (LimitReached, NondeterminismDetected) as error:
            raise _leave(error) from error
        self._shows |= new
        self._post_if_due(now_ns)

    async def load(self, payload: Payload) -> bytes:
        """The bytes of a payload."""
        return await self._host.get_blob(payload) if isinstance(payload, BlobRef) else payload

    async def store(self, data: bytes) -> Payload:
        """``data`` as an entry and a row may hold it."""
        return await self._host.put_blob(data) if len(data) > INLINE_LIMIT else data

    async def tail(self) -> Segment | None:
        """The last entries, for the report; all earlier ones are durable on return."""
        segments = self.machine.take()
        for segment in segments[:-1]:
            self._host.post(segment)
            self._posted = True
        if self._posted:
            await self._host.flush()
        return segments[-1] if segments else None

    def _clock(self, *, wall: bool) -> int:
        now_ns = self._host.wall_ns()
        try:
            value = self.machine.clock(wall=wall, now_ns=now_ns)
        except (LimitReached, NondeterminismDetected) as error:
            raise _leave(error) from error
        self._post_if_due(now_ns)
        return value

    async def _sleep(self, sleep: Callable[[int, int], Wait | None], time_ns: int) -> None:
        now_ns = self._host.wall_ns()
        try:
            wait = sleep(time_ns, now_ns)
        except (LimitReached, NondeterminismDetected) as error:
            raise _leave(error) from error
        if wait is None:
            return
        if wait.wake_wall_ns - now_ns > self._suspend_after_ns:
            raise Leave(Suspended(-(-wait.wake_wall_ns // _NS_PER_MS)))
        self._post(now_ns)
        await self._host.wait_until(wait.wake_wall_ns)

    async def _loaded(self, result: HttpResult) -> HttpResult:
        """The guest gets bytes: its journal may hold a reference."""
        if isinstance(result, HttpResponse) and isinstance(result.body, BlobRef):
            return msgspec.structs.replace(result, body=await self._host.get_blob(result.body))
        return result

    def _post_if_due(self, now_ns: int) -> None:
        if self.machine.unposted >= _POST_BYTES or (
            self._shows and now_ns - self._posted_ns >= _POST_AFTER_NS
        ):
            self._post(now_ns)

    def post(self) -> None:
        """All entries are on their way."""
        self._post(self._host.wall_ns())

    def _post(self, now_ns: int) -> None:
        for segment in self.machine.take():
            self._host.post(segment)
            self._posted = True
        self._posted_ns = now_ns
        self._shows = False

    async def _flush(self) -> None:
        self.post()
        if self._posted:
            await self._host.flush()
            self._posted = False


def _leave(error: LimitReached | NondeterminismDetected) -> Leave:
    return Leave(Failed(error.failure) if isinstance(error, LimitReached) else _parked(error))

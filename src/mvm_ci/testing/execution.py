"""A world to execute guests in: a fake clock, an outside that counts, a durable journal, crashes.

``World`` is what survives a crash; ``FakeHost`` is one process's connection to it.
"""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

import msgspec

from mvm_ci.domain.artifact import PUT
from mvm_ci.domain.http import HttpFailure, HttpRequest, HttpResponse, HttpResult
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.mail import Mail
from mvm_ci.domain.outcome import Continued, Outcome
from mvm_ci.domain.payload import INLINE_LIMIT, BlobRef, Payload
from mvm_ci.domain.secrets import SecretValue
from mvm_ci.domain.segment import Append, Segment
from mvm_ci.journal.codec import decode
from mvm_ci.journal.entries import Entry, Logged
from mvm_ci.lifecycle.execute import Execution, ExecutionLimits, Result, execute
from mvm_ci.ports.execution import Leave
from mvm_ci.ports.guest import Guest, GuestLimits, HostCalls
from mvm_ci.ports.immediate import at_once
from mvm_ci.testing.crash_points import Crashed, CrashPoints

MODULE: Final = Digest("0d" * 32)
BEGIN_NS: Final = 1_700_000_000_000_000_000
_JOB: Final = JobId(1_700_000_000_000 << 20)


class Calls:
    """``HostCalls`` of a host that never waits, as plain functions."""

    def __init__(self, host: HostCalls) -> None:
        self._host = host
        self.wall_clock_ns = host.wall_clock_ns
        self.monotonic_ns = host.monotonic_ns
        self.random = host.random
        self.log = host.log

    def sleep_until(self, monotonic_ns: int) -> None:
        """See ``HostCalls``."""
        at_once(self._host.sleep_until(monotonic_ns))

    def sleep_for(self, duration_ns: int) -> None:
        """See ``HostCalls``."""
        at_once(self._host.sleep_for(duration_ns))

    def http(self, request: HttpRequest) -> HttpResult:
        """See ``HostCalls``."""
        return at_once(self._host.http(request))

    def call(self, name: str, argument: bytes) -> bytes:
        """See ``HostCalls``."""
        return at_once(self._host.call(name, argument))

    def write_artifact(self, name: str, data: bytes) -> bytes | None:
        """See ``HostCalls``."""
        return at_once(self._host.write_artifact(name, data))

    def read_artifact(self, digest: str, offset: int, size: int) -> tuple[bytes, bytes | None]:
        """See ``HostCalls``."""
        return at_once(self._host.read_artifact(digest, offset, size))

    def ask(self, call: str, **argument: object) -> dict[str, Any]:
        """The same: argument and answer as JSON has them."""
        answer: dict[str, Any] = json.loads(self.call(call, json.dumps(argument).encode()))
        return answer


class FunctionGuest:
    """A plain function as a guest."""

    def __init__(self, function: Callable[[bytes, Calls], bytes]) -> None:
        self._function = function

    async def run(self, payload: bytes, host: HostCalls, limits: GuestLimits) -> bytes:
        """See ``ports.guest.Guest.run``."""
        return self._function(payload, Calls(host))


def echo(request: HttpRequest, number: int) -> HttpResult:
    """An outside whose answer follows from the request alone, so that a repetition is answered alike."""
    seen = sha256(f"{request.method} {request.url}".encode() + request.body).hexdigest()
    return HttpResponse(200, request.url, (), seen.encode())


class World:
    """What is left when a process dies: time, the outside, blobs, the durable journal and the report.

    ``asked``: what the control plane was asked, by key, ``told``: what it was told; ``mail``: what was not
    taken, with the time at which it comes, in that order; ``on_mail``: called when a guest waits for some;
    ``cancelled``: the job is being cancelled. ``attempt``: of the present execution; ``given``: what it went
    on with as new; ``past``: the journals before. ``slow``: posted entries outlast even a guest's wait.
    ``effects``: per idempotency key the requests that the outside has seen. ``now_ns`` moves only by waiting,
    or if a test moves it.
    """

    def __init__(self, respond: Callable[[HttpRequest, int], HttpResult] = echo) -> None:
        """``respond``: gets a request and how many requests came before it."""
        self.now_ns = BEGIN_NS
        self.epoch = 0
        self.effects: dict[str, list[HttpRequest]] = {}
        self.outcome: Outcome | None = None
        self.slow = False
        self.waited_ns: list[int] = []
        self.asked: dict[str, list[tuple[str, bytes]]] = {}
        self.cancelled = False
        self.on_mail: Callable[[], None] = lambda: None
        self.told: list[tuple[str, bytes]] = []
        self.mail: list[tuple[int, Mail]] = []
        self.attempt = 1
        self.given: Payload = b""
        self.past: list[list[Entry]] = []
        self.answers: Callable[[str, bytes], bytes] = lambda _name, argument: b'{"ok":%s}' % argument
        self._respond = respond
        self._segments: list[Segment] = []
        self._blobs: dict[str, bytes] = {}

    @property
    def journal(self) -> tuple[Segment, ...]:
        """The durable segments."""
        return tuple(self._segments)

    @property
    def entries(self) -> list[Entry]:
        """The durable entries."""
        return decode(self._segments)

    @property
    def shown(self) -> str:
        """All text that users have seen."""
        return "".join(entry.text for entry in self.all_entries if isinstance(entry, Logged))

    @property
    def all_entries(self) -> list[Entry]:
        """The durable entries of all executions."""
        return [entry for journal in (*self.past, self.entries) for entry in journal]

    def arrived(self, topics: tuple[str, ...]) -> tuple[Mail, ...]:
        """The mail about ``topics`` that is there."""
        return tuple(mail for at_ns, mail in self.mail if at_ns <= self.now_ns and mail.topic in topics)

    def wait(self, topics: tuple[str, ...], until_ns: int) -> None:
        """Time passes until there is some, or until ``until_ns``."""
        times = [at_ns for at_ns, mail in self.mail if mail.topic in topics]
        self.now_ns = max(self.now_ns, min([until_ns, *times]))

    def append(self, epoch: int, segment: Segment) -> Append:
        """Compare and append, as a job queue does it."""
        if epoch != self.epoch or self.outcome is not None:
            return Append.STALE
        if segment.first != len(self.entries):
            return Append.GAP
        self._segments.append(segment)
        self.mail = [(at_ns, mail) for at_ns, mail in self.mail if mail.number not in segment.taken]
        return Append.DONE

    def report(self, epoch: int, result: Result) -> bool:
        """Outcome and tail become durable together, or neither."""
        if result.outcome is None or epoch != self.epoch or self.outcome is not None:
            return False
        if result.tail is not None and self.append(epoch, result.tail) is not Append.DONE:
            return False
        self.outcome = result.outcome
        if isinstance(result.outcome, Continued):
            self.past.append(self.entries)
            self._segments.clear()
            self.attempt += 1
            self.given = result.outcome.input
        return True

    def respond(self, request: HttpRequest, key: str) -> HttpResult:
        """The outside gets a request."""
        number = sum(map(len, self.effects.values()))
        self.effects.setdefault(key, []).append(request)
        return self._respond(request, number)

    def ask(self, name: str, key: str, argument: bytes) -> bytes:
        """The control plane is asked."""
        self.asked.setdefault(key, []).append((name, argument))
        return self.answers(name, argument)

    def put_blob(self, data: bytes) -> BlobRef:
        """Stores bytes."""
        digest = Digest(sha256(data).hexdigest())
        self._blobs[digest] = data
        return BlobRef(digest, len(data))

    def get_blob(self, ref: BlobRef) -> bytes:
        """The stored bytes."""
        return self._blobs[ref.digest]

    def place(self) -> int:
        """The epoch of a new placement; the last one's outcome, if it had any, is history."""
        self.epoch += 1
        self.outcome = None
        return self.epoch


class FakeHost:
    """One placement's ``ExecutionHost``. Posted segments are on their way until ``flush`` or ``deliver``."""

    def __init__(self, world: World, crash_points: CrashPoints | None = None) -> None:
        self._world = world
        self.crash_points = crash_points or CrashPoints()
        self.epoch = world.place()
        self.posted: list[Segment] = []
        """All that was posted, in order."""
        self.flushes = 0
        self.spools: dict[str, bytearray] = {}
        """What came of artifacts, by name."""
        self._under_way: list[Segment] = []

    def wall_ns(self) -> int:
        return self._world.now_ns

    async def give_way(self) -> None:
        """Nobody else is there."""

    def cancelled(self) -> bool:
        return self._world.cancelled

    def random_seed(self) -> bytes:
        return bytes(range(32))

    def post(self, segment: Segment) -> None:
        self.posted.append(segment)
        self._under_way.append(segment)

    async def flush(self) -> None:
        self.flushes += 1
        while self._under_way:
            self.crash_points.reach("append.before")
            self.deliver(1)
            self.crash_points.reach("append.after")

    def deliver(self, count: int) -> None:
        """The next ``count`` posted segments become durable: the network is done with them, dead sender or
        not.
        """
        for segment in self._under_way[:count]:
            appended = self._world.append(self.epoch, segment)
            if appended is Append.STALE:
                raise Leave(None)
            assert appended is Append.DONE, (segment.first, len(self._world.entries))
        del self._under_way[:count]

    async def http(self, request: HttpRequest, idempotency_key: str, *, whole: bool = False) -> HttpResult:
        self.crash_points.reach("effect.before")
        result = self._world.respond(request, idempotency_key)
        self.crash_points.reach("effect.after")
        match result:
            case HttpResponse(body=bytes() as body) if len(body) > INLINE_LIMIT and not whole:
                return HttpResponse(result.status, result.url, result.headers, await self.put_blob(body))
            case HttpResponse() | HttpFailure():
                return result

    async def ask(self, name: str, key: str, argument: bytes) -> bytes:
        self.crash_points.reach("ask.before")
        if name == PUT:
            # As the engine does: what came is stored first.
            self._world.put_blob(bytes(self.spools.pop(msgspec.json.decode(argument)["name"])))
        answer = self._world.ask(name, key, argument)
        self.crash_points.reach("ask.after")
        return answer

    def tell(self, name: str, argument: bytes) -> None:
        self._world.told.append((name, argument))

    async def mail(self, topics: tuple[str, ...], until_wall_ns: int) -> tuple[Mail, ...]:
        self.crash_points.reach("mail.before")
        self._world.on_mail()
        if not self._world.cancelled:
            self._world.wait(topics, until_wall_ns)
        found = self._world.arrived(topics)
        self.crash_points.reach("mail.after")
        return found

    async def wait_until(self, wall_ns: int) -> None:
        self.crash_points.reach("wait.before")
        self._world.waited_ns.append(wall_ns - self._world.now_ns)
        self._world.now_ns = max(self._world.now_ns, wall_ns)
        if not self._world.slow:
            self.deliver(len(self._under_way))
        self.crash_points.reach("wait.after")

    async def spool(self, name: str, offset: int, data: bytes) -> None:
        if offset == 0:
            self.spools[name] = bytearray()
        assert len(self.spools[name]) == offset, (name, offset)
        self.spools[name] += data

    async def read_artifact(self, ref: BlobRef, offset: int, size: int) -> bytes:
        return self._world.get_blob(ref)[offset : offset + size]

    async def put_blob(self, data: bytes) -> BlobRef:
        self.crash_points.reach("blob.before")
        ref = self._world.put_blob(data)
        self.crash_points.reach("blob.after")
        return ref

    async def get_blob(self, ref: BlobRef) -> bytes:
        return self._world.get_blob(ref)

    def report(self, result: Result) -> None:
        """The end of the placement becomes durable; what was posted before arrives before it."""
        self.deliver(len(self._under_way))
        self.crash_points.reach("report.before")
        self._world.report(self.epoch, result)
        self.crash_points.reach("report.after")


def place(
    world: World,
    guest: Guest,
    *,
    crash_points: CrashPoints | None = None,
    limits: ExecutionLimits | None = None,
    given: bytes = b"",
    secrets: tuple[SecretValue, ...] = (),
    arrives: int = 0,
) -> Result | Crashed:
    """Places the execution once more and runs it until it ends or its process dies.

    ``given``: the input, until it goes on as new with another one; ``arrives``: how many of the segments that
    are on their way when it dies become durable all the same.
    """
    host = FakeHost(world, crash_points)
    execution = Execution(
        job=_JOB,
        attempt=world.attempt,
        epoch=host.epoch,
        place=f"worker-{host.epoch}",
        module=MODULE,
        input=given if world.attempt == 1 else world.given,
        journal=world.journal,
        secrets=secrets,
    )
    try:
        result = at_once(execute(guest, execution, host, limits or ExecutionLimits()))
        host.report(result)
    except Crashed as crashed:
        host.deliver(arrives)
        return crashed
    return result

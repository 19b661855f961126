"""Both ends of a worker, scripted: a control plane that does what a test says, and an engine without
guests.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import Digest, JobId, SessionId
from mvm_ci.domain.job import JobSpec, Placed
from mvm_ci.domain.outcome import Completed, Outcome, Released, Stopped
from mvm_ci.domain.segment import Append, Segment
from mvm_ci.peer.backoff import Backoff
from mvm_ci.peer.link import Link
from mvm_ci.peer.parts import Fitted, PeerParts, Surroundings
from mvm_ci.peer.settings import PeerSettings
from mvm_ci.ports.engine import (
    ArtifactFiles,
    ControlPlane,
    Ended,
    EngineEvents,
    JournalSink,
    OwnLease,
    PayloadStore,
    Placement,
)
from mvm_ci.ports.guest import CompiledModule, ModuleKind
from mvm_ci.ports.transport import Connection, Stream
from mvm_ci.testing.clock import FakeClock, settle
from mvm_ci.testing.transport import MemoryNetwork, MemoryTransport
from mvm_ci.wire import messages as m
from mvm_ci.wire.frames import encode, from_worker
from mvm_ci.wire.session import ControlSession
from mvm_ci.worker.process import Worker

LEASE_MS = 15_000
HEARTBEAT_MS = 3_000
SPEC = JobSpec(module=Digest("0" * 64), input=b"{}")
Message = TypeVar("Message")


def placed(job: int, epoch: int = 1) -> Placed:
    return Placed(JobId(job), epoch)


def assignment(job: int, epoch: int = 1) -> m.Assignment:
    return m.Assignment(placed(job, epoch), 1, SPEC)


class FakeEngine:
    """Runs nothing: a test says what starts and ends. With ``instant`` everything completes at once."""

    def __init__(self, events: EngineEvents, slots: int = 2, *, instant: bool = False) -> None:
        self.events = events
        self.slots = slots
        self.capacity = 256
        self.extra = 0
        self.instant = instant
        self.placements: dict[Placed, Placement] = {}
        self.dropped: list[Placed] = []
        self.cancelled: list[Placed] = []
        self.stopped: list[Placed] = []
        self.released = 0
        self.runners_left = 1
        self.draining = False
        self.closed = False
        self.arrived = asyncio.Event()
        self.empty = asyncio.Event()
        self.can_start = asyncio.Event()
        self.can_start.set()

    def place(self, placements: Sequence[Placement]) -> None:
        if self.instant:
            self.events.started([p.placed for p in placements])
            self.events.ended([Ended(placed=p.placed, outcome=Completed(b"null")) for p in placements])
            return
        self.placements.update({p.placed: p for p in placements})
        self.arrived.set()

    async def start(self) -> None:
        await self.can_start.wait()

    def begin(self, *which: Placed) -> None:
        self.events.started(which)

    def end(self, outcome: Outcome, *which: Placed) -> None:
        for one in which:
            del self.placements[one]
        self.events.ended([Ended(placed=one, outcome=outcome) for one in which])
        if not self.placements:
            self.empty.set()

    def stop(self, placed: Placed) -> None:
        self.stopped.append(placed)
        if placed in self.placements:
            self.end(Stopped(), placed)

    def cancel(self, placed: Placed) -> None:
        self.cancelled.append(placed)
        self.stop(placed)

    def drop(self, placements: Sequence[Placed]) -> None:
        self.dropped += placements
        for one in placements:
            self.placements.pop(one, None)

    @property
    def runners(self) -> int:
        return self.runners_left

    def release_waiting(self, only: Collection[Placed] | None = None) -> None:
        self.released += 1

    def release_all(self, only: Collection[Placed] | None = None) -> None:
        self.end(Released(), *self.placements)

    async def drain(self, grace_s: float) -> None:
        self.draining = True
        if self.placements:
            try:
                async with asyncio.timeout(grace_s):
                    await self.empty.wait()
            except TimeoutError:
                self.end(Released(), *self.placements)

    async def close(self) -> None:
        self.closed = True


class FakeCompiler:
    """Compiles by name only."""

    def __init__(self) -> None:
        self.compiled: list[bytes] = []

    async def compile(self, source: Path, digest: str) -> CompiledModule:
        self.compiled.append(await asyncio.to_thread(source.read_bytes))
        return CompiledModule(digest=digest, kind=ModuleKind.CORE, path=str(source))


class Peer:
    """One connection, as the control plane sees it."""

    def __init__(self, connection: Connection, stream: Stream) -> None:
        self.connection = connection
        self.stream = stream
        self.wire = ControlSession()
        self.reader = from_worker()
        self._inbox: list[m.FromWorker] = []

    async def receive(self) -> m.FromWorker:
        while not self._inbox:
            data = await self.stream.read()
            if not data:
                raise Unavailable("the worker ended the stream")
            self._inbox += self.reader.feed(data)
        message = self._inbox.pop(0)
        self.wire.received(message)
        return message

    async def expect(self, kind: type[Message]) -> Message:
        """The next message of this kind; others before it are read over."""
        while True:
            message = await self.receive()
            if isinstance(message, kind):
                return message

    async def until_gone(self) -> None:
        """Reads over everything until the worker has closed the connection."""
        with contextlib.suppress(Unavailable):
            while True:
                await self.receive()

    async def send(self, *messages: m.FromControlPlane) -> None:
        for message in messages:
            self.wire.sent(message)
        await self.stream.write(b"".join(map(encode, messages)))

    async def welcome(self, *keep: Placed, session: int = 1) -> m.Hello:
        hello = await self.expect(m.Hello)
        await self.send(m.Welcome(m.PROTOCOL, SessionId(session), LEASE_MS, HEARTBEAT_MS, "test", keep))
        return hello


class Bench:
    """A worker on a network in memory, with a clock that stands still."""

    def __init__(self, directory: Path) -> None:
        self.clock = FakeClock()
        self.network = MemoryNetwork()
        self.transport: Any = MemoryTransport(self.network)
        self.compiler = FakeCompiler()
        self.directory = directory
        self.control: Any = None
        self.worker: Worker = None  # type: ignore[assignment]  # made by start
        self.engine: FakeEngine = None  # type: ignore[assignment]  # made by the worker
        self.plane: ControlPlane = None  # type: ignore[assignment]
        self.journal: JournalSink = None  # type: ignore[assignment]
        self.lease: OwnLease = None  # type: ignore[assignment]
        self.payloads: PayloadStore = None  # type: ignore[assignment]
        self.artifacts: ArtifactFiles = None  # type: ignore[assignment]
        self.link: Link = None  # type: ignore[assignment]
        self.running: asyncio.Task[None] = None  # type: ignore[assignment]
        self.slots = 2
        self.ready = asyncio.Event()
        self.engine_can_start = asyncio.Event()
        self.engine_can_start.set()
        self.chance: Callable[[], float] = lambda: 0.5

    async def listen(self) -> None:
        self.control = await self.transport.bind(secret_key=b"c" * 32, address="127.0.0.1:0", alpns=[m.ALPN])

    def settings(self, **changes: Any) -> PeerSettings:
        values = {"state_dir": self.directory / "state", "name": "w1", "bind": "127.0.0.1:0", "grace_s": 0.0}
        if not {"ticket", "ticket_file"} & changes.keys():
            values["ticket"] = self.control.ticket()
        return PeerSettings(**{**values, **changes})

    def start(self, **changes: Any) -> None:
        self.worker = Worker(
            self.settings(**changes),
            Surroundings(self.transport, self.compiler, self.clock, backoff=lambda: Backoff(self.chance)),
            self._make_engine,
        )
        self.ready.clear()
        self.running = asyncio.create_task(self.worker.run())

    async def _make_engine(self, parts: PeerParts, events: EngineEvents) -> Fitted:
        outbox = parts.holder.outbox
        self.journal, self.lease, self.payloads, self.plane = outbox, parts.lease, parts.payloads, outbox.asks
        self.artifacts, self.link = parts.artifacts, parts.link
        self.engine = FakeEngine(events, self.slots)
        self.engine.can_start = self.engine_can_start
        self.ready.set()  # from here on the worker waits for nothing but its clock and the network
        return Fitted(self.engine, parts.intake_of_own(self.engine))

    async def peer(self) -> Peer:
        """The worker's next connection, with its main stream."""
        await self.ready.wait()
        accepting = asyncio.create_task(self.control.accept())
        await settle()
        while not accepting.done():
            # The worker may be waiting to dial again.
            await self.clock.advance(100)
        connection = await accepting
        return Peer(connection, await connection.accept())

    async def open(self, *keep: Placed, session: int = 1) -> Peer:
        """A connection whose session stands, and the first credit given."""
        peer = await self.peer()
        await peer.welcome(*keep, session=session)
        await settle()
        return peer

    async def close(self) -> None:
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)
        if self.control is not None:
            await self.control.close()


@contextlib.asynccontextmanager
async def bench(directory: Path) -> AsyncIterator[Bench]:
    """A bench that is cleared away at the end."""
    made = Bench(directory)
    await made.listen()
    try:
        yield made
    finally:
        if made.running is not None:
            await made.close()
        else:
            await made.control.close()


def done(count: int) -> m.Appended:
    return m.Appended((Append.DONE,) * count)


def segment(first: int, data: bytes = b"entry") -> Segment:
    return Segment(first=first, count=1, data=data)


def digest_of(data: bytes) -> Digest:
    return Digest(hashlib.sha256(data).hexdigest())

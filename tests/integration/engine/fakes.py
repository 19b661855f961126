"""The engine's surroundings, in memory: everything a test wants to hold back, refuse or look at."""

import asyncio
import contextlib
import hashlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

from mvm_ci.domain.artifact import Artifact
from mvm_ci.domain.errors import BadModule, NotFound, Unavailable
from mvm_ci.domain.http import HttpFailure, HttpRequest
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.job import JobSpec, Placed
from mvm_ci.domain.mail import WAIT_FOR_MAIL, Mail, MailWait, decode_wait, encode_mail
from mvm_ci.domain.outcome import Outcome
from mvm_ci.domain.payload import INLINE_LIMIT, BlobRef, Payload
from mvm_ci.domain.segment import Append, Segment
from mvm_ci.engine.pool import EnginePool
from mvm_ci.engine.settings import PoolSettings
from mvm_ci.journal.codec import decode
from mvm_ci.journal.entries import Entry
from mvm_ci.ports.engine import Ended, NotKept, Placement
from mvm_ci.ports.guest import CompiledModule, ModuleKind
from mvm_ci.ports.http_client import FetchedResponse, FileBody, Sink

ROOT = Path(__file__).resolve().parents[3]
FAKE_RUNTIME = "tests.integration.engine.fake_guests:FakeRuntime"
MODULE = Digest("ab" * 32)


class Journal:
    """Durable segments; ``open`` cleared holds appends back; ``refuse`` answers them.
    ``unreachable``: so often ``hold`` fails.
    """

    def __init__(self) -> None:
        self.segments: dict[JobId, list[Segment]] = defaultdict(list)
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Event()
        self.held: set[JobId] = set()
        """Jobs with an append that is held back."""
        self.refuse: Append | None = None
        self.broken = False
        self._grown = asyncio.Event()

    def append(self, placed: Placed, segment: Segment) -> asyncio.Future[Append]:
        return asyncio.ensure_future(self._append(placed, segment))

    async def _append(self, placed: Placed, segment: Segment) -> Append:
        self.asked.set()
        if not self.open.is_set():
            self.held.add(placed.job)
            self._grown.set()
            await self.open.wait()
            self.held.discard(placed.job)
        if self.broken:
            raise Unavailable("closed")
        if self.refuse is not None:
            return self.refuse
        kept = self.segments[placed.job]
        if kept and kept[-1] == segment:
            return Append.DONE
        end = kept[-1].first + kept[-1].count if kept else 0
        if segment.first != end:
            return Append.GAP
        kept.append(segment)
        self._grown.set()
        return Append.DONE

    async def wait_held(self, count: int) -> None:
        """Returns when appends of so many jobs are held back."""
        async with asyncio.timeout(30):
            while len(self.held) < count:
                self._grown.clear()
                await self._grown.wait()

    async def wait_for(self, job: int, kind: type[Entry]) -> None:
        """Returns when the job's durable journal has an entry of this kind."""
        while not any(isinstance(entry, kind) for entry in self.entries(job)):
            self._grown.clear()
            await self._grown.wait()

    def entries(self, job: int, tail: Segment | None = None) -> list[Entry]:
        return decode([*self.segments[JobId(job)], *([tail] if tail is not None else [])])


class Plane:
    """A control plane that answers what a test says, and keeps what it was asked and told. Mail waits with it
    until the journal has taken it.
    """

    def __init__(self, journal: Journal) -> None:
        self.asked: list[tuple[Placed, str, str, bytes]] = []
        self.told: list[tuple[Placed, str, bytes]] = []
        self.answers: dict[str, asyncio.Future[bytes]] = {}
        self.waiting = 0
        """Guests that wait for mail just now."""
        self._journal = journal
        self._mail: dict[JobId, list[Mail]] = defaultdict(list)
        self._changed = asyncio.Event()

    async def ask(self, placed: Placed, name: str, key: str, argument: bytes) -> bytes:
        self.asked.append((placed, name, key, argument))
        self._tell()
        if name == WAIT_FOR_MAIL:
            return await self._wait(placed.job, decode_wait(argument))
        answer = self.answers.setdefault(name, asyncio.get_running_loop().create_future())
        return await asyncio.shield(answer)

    def send(self, job: int, topic: str, body: Payload) -> None:
        """Mail comes."""
        box = self._mail[JobId(job)]
        box.append(Mail(len(box) + 1, topic, body))
        self._tell()

    async def until_waiting(self, count: int) -> None:
        """Returns when so many guests wait for mail."""
        async with asyncio.timeout(30):
            while self.waiting != count:
                await self._changed.wait()

    async def _wait(self, job: JobId, wait: MailWait) -> bytes:
        self.waiting += not wait.at_once
        try:
            while not ((there := self._there(job, wait.topics)) or wait.at_once):
                self._tell()
                await self._changed.wait()
            return encode_mail(there)
        finally:
            self.waiting -= not wait.at_once
            self._tell()

    def _there(self, job: JobId, topics: Sequence[str]) -> list[Mail]:
        taken = {number for segment in self._journal.segments[job] for number in segment.taken}
        return [mail for mail in self._mail[job] if mail.topic in topics and mail.number not in taken]

    def _tell(self) -> None:
        """Whoever waits for a change looks again."""
        before, self._changed = self._changed, asyncio.Event()
        before.set()

    def tell(self, placed: Placed, name: str, argument: bytes) -> None:
        self.told.append((placed, name, argument))


class Lease:
    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.event.set()
        self.asked = asyncio.Event()

    async def wait_valid(self, placed: Placed) -> None:
        self.asked.set()
        await self.event.wait()


class Payloads:
    """``path``: the file of every compiled module."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.blobs: dict[str, bytes] = {}
        self.bad_modules: set[str] = set()
        self.asked_modules = 0
        self.unavailable = 0

    def _maybe_fail(self) -> None:
        if self.unavailable:
            self.unavailable -= 1
            raise Unavailable("the store is away")

    async def put(self, data: bytes) -> BlobRef:
        self._maybe_fail()
        digest = hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return BlobRef(Digest(digest), len(data))

    async def get(self, ref: BlobRef) -> bytes:
        self._maybe_fail()
        if ref.digest not in self.blobs:
            raise NotFound("no such blob")
        return self.blobs[ref.digest]

    async def module(self, digest: str) -> CompiledModule:
        self._maybe_fail()
        self.asked_modules += 1
        if digest in self.bad_modules:
            raise BadModule("it is not a module")
        return CompiledModule(digest=digest, kind=ModuleKind.CORE, path=str(self.path))


class Http:
    """Answers 200 once ``open`` is set; counts what arrived and what was cut off."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []
        self.keys: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Event()
        self.body = b"ok"
        self.status = 200
        self.headers: tuple[tuple[str, str], ...] = ()
        self.bodies: list[tuple[bytes, int]] = []
        self.cut_off = asyncio.Event()

    async def fetch(
        self,
        request: HttpRequest,
        *,
        allow_hosts: tuple[str, ...],
        idempotency_key: str,
        before_send: Callable[[], Awaitable[None]] | None = None,
        body: FileBody | None = None,
        sink: Sink | None = None,
    ) -> FetchedResponse | HttpFailure:
        self.requests.append(request)
        if body is not None:
            self.bodies.append((await asyncio.to_thread(body.path.read_bytes), body.size))
        self.keys.append(idempotency_key)
        self.asked.set()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cut_off.set()
            raise
        if sink is not None and self.status < 300:
            await sink.write(self.body)
            return FetchedResponse(status=self.status, url=request.url, headers=self.headers, body=b"")
        return FetchedResponse(status=self.status, url=request.url, headers=self.headers, body=self.body)

    async def close(self) -> None:
        pass


class ArtifactSpool:
    def __init__(self, files: "Artifacts") -> None:
        self.files = files
        self.data = b""
        self.gone = False
        self.files.spools.append(self)

    async def write(self, data: bytes) -> None:
        if self.files.refuse is not None:
            raise self.files.refuse
        self.data += data

    async def upload(self, placed: Placed) -> BlobRef:
        await self.write(b"")
        self.files.asked.set()
        await self.files.open.wait()
        ref = BlobRef(Digest(hashlib.sha256(self.data).hexdigest()), len(self.data))
        self.files.uploaded.append((placed, self.data))
        self.files.add(self.data)
        return ref

    def discard(self) -> None:
        self.gone = True


class Artifacts:
    """``ArtifactFiles`` in a directory. ``open`` cleared holds uploads back; ``refuse`` answers them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.spools: list[ArtifactSpool] = []
        self.uploaded: list[tuple[Placed, bytes]] = []
        self.held: Counter[str] = Counter()
        self.refuse: NotKept | None = None
        self.unreachable = 0
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    def add(self, data: bytes) -> BlobRef:
        digest = hashlib.sha256(data).hexdigest()
        (self.directory / f"artifact-{digest}").write_bytes(data)
        return BlobRef(Digest(digest), len(data))

    def spool(self) -> ArtifactSpool:
        return ArtifactSpool(self)

    async def hold(self, ref: BlobRef) -> Path:
        path = self.directory / f"artifact-{ref.digest}"
        if not path.exists():
            raise NotFound("no such artifact")
        if self.unreachable:
            self.unreachable -= 1
            raise Unavailable("the control plane is out of reach")
        self.held[ref.digest] += 1
        return path

    def release(self, ref: BlobRef) -> None:
        self.held[ref.digest] -= 1

    async def read(self, ref: BlobRef, offset: int, size: int) -> bytes:
        assert self.held[ref.digest] > 0
        return (self.directory / f"artifact-{ref.digest}").read_bytes()[offset : offset + size]


class Events:
    """What the engine told."""

    def __init__(self) -> None:
        self.starts: list[Placed] = []
        self.ends: dict[Placed, Ended] = {}
        self.freed = 0
        self.end_batches: list[int] = []
        self._changed = asyncio.Event()

    def started(self, placements: Sequence[Placed]) -> None:
        self.starts += placements
        self._changed.set()

    def ended(self, ended: Sequence[Ended]) -> None:
        self.end_batches.append(len(ended))
        for one in ended:
            assert one.placed not in self.ends, "reported twice"
            self.ends[one.placed] = one
        self._changed.set()

    def slots_freed(self) -> None:
        self.freed += 1
        self._changed.set()

    async def wait_ended(self, *jobs: int, epoch: int = 1) -> list[Outcome]:
        wanted = [Placed(JobId(job), epoch) for job in jobs]
        while not all(placed in self.ends for placed in wanted):
            await self.changed()
        return [self.ends[placed].outcome for placed in wanted]

    async def wait_started(self, job: int, epoch: int = 1) -> None:
        while Placed(JobId(job), epoch) not in self.starts:
            await self.changed()

    async def changed(self) -> None:
        """Something was told."""
        self._changed.clear()
        async with asyncio.timeout(30):
            await self._changed.wait()


class Clock:
    def now_ms(self) -> int:
        return 1_700_000_000_000

    def lease_ms(self) -> int:
        return 0

    async def sleep(self, ms: float) -> None:
        await asyncio.sleep(0)


class World:
    """A pool with its surroundings."""

    def __init__(
        self,
        directory: Path,
        *,
        slots: int = 1,
        runtime: str = FAKE_RUNTIME,
        payloads: Payloads | None = None,
        suspend_after_ms: int = 60_000,
    ) -> None:
        code = directory / "code"
        code.touch()
        self.directory = directory
        self.journal = Journal()
        self.plane = Plane(self.journal)
        self.lease = Lease()
        self.payloads = payloads or Payloads(code)
        self.artifacts = Artifacts(directory)
        self.http = Http()
        self.events = Events()
        self.pool = EnginePool(
            PoolSettings(
                worker="test",
                directory=directory,
                slots=slots,
                suspend_after_ms=suspend_after_ms,
                runtime=runtime,
            ),
            journal=self.journal,
            plane=self.plane,
            lease=self.lease,
            payloads=self.payloads,
            artifacts=self.artifacts,
            http=self.http,
            events=self.events,
            clock=Clock(),
        )

    def placement(
        self,
        job: int,
        payload: Payload,
        *,
        epoch: int = 1,
        journal: Sequence[Segment] = (),
        module: Digest = MODULE,
        timeout_ms: int = 60_000,
        inputs: tuple[Artifact, ...] = (),
    ) -> Placement:
        if isinstance(payload, bytes) and len(payload) > INLINE_LIMIT:
            raise ValueError("too large to be inline")
        spec = JobSpec(module=module, input=payload, allow_hosts=("*",), timeout_ms=timeout_ms, inputs=inputs)
        return Placement(placed=Placed(JobId(job), epoch), attempt=1, spec=spec, journal=tuple(journal))

    def place(
        self,
        job: int,
        payload: Payload,
        *,
        epoch: int = 1,
        timeout_ms: int = 60_000,
        inputs: tuple[Artifact, ...] = (),
    ) -> Placed:
        placement = self.placement(job, payload, epoch=epoch, timeout_ms=timeout_ms, inputs=inputs)
        self.pool.place([placement])
        return placement.placed

    def tail(self, job: int, epoch: int = 1) -> Segment | None:
        return self.events.ends[Placed(JobId(job), epoch)].tail

    def entries(self, job: int, epoch: int = 1) -> list[Entry]:
        return self.journal.entries(job, self.tail(job, epoch))


@contextlib.asynccontextmanager
async def running(
    directory: Path,
    *,
    slots: int = 1,
    runtime: str = FAKE_RUNTIME,
    payloads: Payloads | None = None,
    suspend_after_ms: int = 60_000,
) -> AsyncIterator[World]:
    """A started world, closed at the end."""
    world = World(
        directory, slots=slots, runtime=runtime, payloads=payloads, suspend_after_ms=suspend_after_ms
    )
    try:
        await world.pool.start()
        yield world
    finally:
        await world.pool.close()

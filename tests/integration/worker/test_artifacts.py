"""Artifacts on a worker's disk, and on their way: with a control plane that does what a test says."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from mvm_ci.domain.errors import NotFound, Unavailable
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.payload import BlobRef
from mvm_ci.peer import artifact_files
from mvm_ci.peer.artifact_files import KEEP_FREE, WorkerArtifacts
from mvm_ci.peer.artifact_transfer import IDLE_MS
from mvm_ci.peer.cache import BlobCache
from mvm_ci.ports.engine import NotKept
from mvm_ci.ports.transport import Connection, Stream
from mvm_ci.testing.clock import FakeClock
from mvm_ci.testing.transport import MemoryNetwork, MemoryTransport
from mvm_ci.wire import blobs as w
from mvm_ci.wire.frames import encode
from mvm_ci.wire.messages import ALPN
from tests.integration.worker.scripted import placed

DATA = os.urandom(1 << 20) * 3
REF = BlobRef(Digest(sha256(DATA).hexdigest()), len(DATA))
Serve = Callable[[w.BlobRequest, bytes, Stream], Coroutine[Any, Any, None]]


class Desk:
    """A worker's artifacts. ``free``: on its disk; ``serve``: what its control plane does with a transfer."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = FakeClock()
        self.network = MemoryNetwork()
        self.free = 1 << 40
        self.requests: list[w.BlobRequest] = []
        self.serve: Serve = self.store
        self.stored: dict[str, bytes] = {}
        self.near: Any = None
        self.files: WorkerArtifacts = None  # type: ignore[assignment]  # made by open
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, limit: int = 1 << 30) -> None:
        """As at the start of a worker."""
        cache = await asyncio.to_thread(BlobCache, self.directory, limit)
        self.files = WorkerArtifacts(self.directory, cache, self.clock, self.connection, lambda: self.free)

    async def listen(self) -> None:
        transport = MemoryTransport(self.network)
        self.plane = await transport.bind(secret_key=b"c" * 32, address="m:0", alpns=[ALPN])
        self.worker = await transport.bind(secret_key=b"w" * 32, address="m:0", alpns=[ALPN])

    async def connection(self) -> Connection:
        if self.near is None or self.near.gone:
            self.near = await self.worker.connect(self.plane.ticket())
            far = await self.plane.accept()
            self._tasks.append(asyncio.create_task(self._accept(far)))
        connection: Connection = self.near
        return connection

    async def _accept(self, far: Connection) -> None:
        try:
            while True:
                stream = await far.accept()
                self._tasks.append(asyncio.create_task(self._serve(stream)))
        except Unavailable:
            return

    async def _serve(self, stream: Stream) -> None:
        reader = w.request_reader()
        first = None
        try:
            while first is None:
                first = reader.feed_one(await stream.read())
            self.requests.append(first[0])
            await self.serve(*first, stream)
        except Unavailable:
            return

    async def store(self, request: w.BlobRequest, rest: bytes, stream: Stream) -> None:
        """As it should be."""
        if isinstance(request, w.PutArtifact):
            await stream.write(encode(w.Wanted()))
            whole = rest
            while data := await stream.read():
                whole += data
            assert (len(whole), sha256(whole).hexdigest()) == (request.size, request.digest)
            self.stored[request.digest] = whole
            await stream.write(encode(w.Stored()))
        elif isinstance(request, w.GetBlob):
            data = self.stored[request.digest]
            await stream.write(encode(w.Follows(len(data))))
            for at in range(0, len(data), 100_000):
                await stream.write(data[at : at + 100_000])
        await stream.finish()

    async def through_the_clock(self, work: Coroutine[Any, Any, Any], step_ms: float = 200) -> Any:
        """What ``work`` returns; time passes meanwhile."""
        task = asyncio.ensure_future(work)
        while not task.done():
            await self.clock.advance(step_ms)
            await asyncio.wait({task}, timeout=0.002)  # files are real, on threads of their own
        return task.result()

    async def put(self, data: bytes = DATA) -> BlobRef:
        spool = self.files.spool()
        try:
            for at in range(0, len(data), 300_000):
                await spool.write(data[at : at + 300_000])
            return await spool.upload(placed(1))
        finally:
            spool.discard()

    async def names(self) -> set[str]:
        # What is dropped later is dropped in order, on threads.
        for _ in range(artifact_files._THREADS):
            await self.files.on_disk(lambda: None)
        return set(await asyncio.to_thread(os.listdir, self.directory))

    async def close(self) -> None:
        await self.files.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(tmp_path)
    await made.listen()
    await made.open()
    yield made
    await made.close()


# ---------------------------------------------------------------- uploads


@pytest.mark.parametrize("data", [b"", b"x", DATA])
async def test_a_spool_is_uploaded_and_stays_near(desk: Desk, data: bytes) -> None:
    ref = await desk.put(data)
    assert ref == BlobRef(Digest(sha256(data).hexdigest()), len(data))
    assert desk.requests == [w.PutArtifact(placed(1), ref.digest, ref.size)]
    assert desk.stored == {ref.digest: data}
    path = await desk.files.hold(ref)
    assert await asyncio.to_thread(path.read_bytes) == data
    assert len(desk.requests) == 1
    assert await desk.names() == {ref.digest}


async def test_what_is_there_already_does_not_travel(desk: Desk) -> None:
    async def serve(request: w.BlobRequest, rest: bytes, stream: Stream) -> None:
        await stream.write(encode(w.Stored()))
        assert await stream.read() == b""
        await stream.finish()

    desk.serve = serve
    assert await desk.put() == REF


async def test_a_lost_connection_costs_a_repetition(desk: Desk) -> None:
    async def serve(request: w.BlobRequest, rest: bytes, stream: Stream) -> None:
        desk.serve = desk.store
        await stream.write(encode(w.Wanted()))
        await stream.read()
        desk.near.cut()

    desk.serve = serve
    assert await desk.through_the_clock(desk.put()) == REF
    assert len(desk.requests) == 2
    assert desk.stored == {REF.digest: DATA}


async def test_a_refusal_in_the_middle_is_heard(desk: Desk) -> None:
    """Nobody reads any more: the window is full, and the rest cannot be sent."""

    async def serve(request: w.BlobRequest, rest: bytes, stream: Stream) -> None:
        await stream.write(encode(w.Wanted()))
        await stream.read()
        await stream.write(encode(w.TransferFailed("disk-full", "no room here")))
        await stream.finish()

    desk.serve = serve
    with pytest.raises(NotKept, match=r"^no room here$") as caught:
        await desk.put()
    assert caught.value.kind == "disk-full"
    assert await desk.names() == set()


@pytest.mark.parametrize(
    "answer",
    [w.Missing(), w.TransferFailed("unavailable", "not now"), w.Follows(3)],
    ids=lambda answer: type(answer).__name__,
)
async def test_an_upload_goes_on_until_it_is_given_up(desk: Desk, answer: Any) -> None:
    """A placement that is over is given up by the engine, not here."""
    left = 12

    async def serve(request: w.BlobRequest, rest: bytes, stream: Stream) -> None:
        nonlocal left
        left -= 1
        if not left:
            desk.serve = desk.store
        await stream.write(encode(answer))
        await stream.finish()

    desk.serve = serve
    assert await desk.through_the_clock(desk.put(b"small"), 1_000) == BlobRef(
        Digest(sha256(b"small").hexdigest()), 5
    )
    assert len(desk.requests) == 13


async def test_a_peer_that_stands_still_is_not_waited_for(desk: Desk) -> None:
    stood = asyncio.Event()

    async def serve(request: w.BlobRequest, rest: bytes, stream: Stream) -> None:
        desk.serve = desk.store
        await stream.write(encode(w.Wanted()))
        stood.set()
        await asyncio.Event().wait()

    desk.serve = serve
    putting = asyncio.create_task(desk.put())
    await stood.wait()
    assert await desk.through_the_clock(putting_result(putting), IDLE_MS / 10) == REF
    assert len(desk.requests) == 2


async def putting_result(task: "asyncio.Task[BlobRef]") -> BlobRef:
    return await task


async def test_a_put_that_is_given_up_leaves_nothing(desk: Desk) -> None:
    began = asyncio.Event()

    async def serve(request: w.BlobRequest, rest: bytes, stream: Stream) -> None:
        await stream.write(encode(w.Wanted()))
        began.set()
        await asyncio.Event().wait()

    desk.serve = serve
    putting = asyncio.create_task(desk.put())
    await began.wait()
    putting.cancel()
    await asyncio.gather(putting, return_exceptions=True)
    assert await desk.names() == set()


# ---------------------------------------------------------------- the disk


async def test_a_full_disk_is_an_error_of_the_put_and_stays_one(desk: Desk) -> None:
    spool = desk.files.spool()
    await spool.write(b"some")
    desk.free = KEEP_FREE - 1
    for _ in range(2):
        with pytest.raises(NotKept) as caught:
            await spool.write(b"more")
        assert caught.value.kind == "disk-full"
    desk.free = 1 << 40
    with pytest.raises(NotKept):
        await spool.upload(placed(1))
    spool.discard()
    assert await desk.names() == set()
    assert desk.requests == []


async def test_what_is_only_cached_makes_room(desk: Desk) -> None:
    old, held = await desk.put(b"old"), await desk.put(b"held")
    await desk.files.hold(held)
    files = desk.directory

    def free() -> int:
        return KEEP_FREE - 1 if (files / old.digest).exists() else KEEP_FREE

    desk.files._free = free
    new = await desk.put(b"new")
    assert await desk.names() == {held.digest, new.digest}


async def test_a_write_that_the_system_refuses(desk: Desk) -> None:
    spool = desk.files.spool()
    await asyncio.to_thread(os.rmdir, desk.directory)
    with pytest.raises(NotKept, match="cannot write") as caught:
        await spool.write(b"x")
    assert caught.value.kind == "disk-full"
    await asyncio.to_thread(desk.directory.mkdir)


async def test_an_artifact_has_a_limit(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact_files, "MAX_ARTIFACT", 1_000)
    spool = desk.files.spool()
    await spool.write(bytes(1_000))
    with pytest.raises(NotKept) as caught:
        await spool.write(b"x")
    assert caught.value.kind == "too-large"


# ---------------------------------------------------------------- what is fetched


async def test_one_fetch_serves_all_and_reads_are_from_the_file(desk: Desk) -> None:
    desk.stored[REF.digest] = DATA
    paths = await asyncio.gather(*(desk.files.hold(REF) for _ in range(5)))
    assert len(set(paths)) == 1
    assert desk.requests == [w.GetBlob(REF.digest)]
    assert await desk.files.read(REF, 10, 20) == DATA[10:30]
    assert await desk.files.read(REF, len(DATA) - 5, 20) == DATA[-5:]
    assert await desk.files.read(REF, len(DATA) + 5, 20) == b""


async def test_who_asked_first_may_go(desk: Desk) -> None:
    desk.stored[REF.digest] = DATA
    first, second = (asyncio.create_task(desk.files.hold(REF)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).name == REF.digest
    assert len(desk.requests) == 1


async def test_what_nobody_waits_for_any_more_is_not_fetched(desk: Desk) -> None:
    over = asyncio.Event()

    async def serve(request: w.BlobRequest, rest: bytes, stream: Stream) -> None:
        await stream.write(encode(w.Follows(REF.size)))
        await stream.write(DATA[:100_000])
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            over.set()

    asked = asyncio.Event()
    desk.serve = serve
    waiting = [asyncio.create_task(desk.files.hold(REF)) for _ in range(2)]
    await asked.wait()
    for one in waiting:
        one.cancel()
        await asyncio.wait({one})
    assert await desk.names() <= {"1.new"}
    # The next one begins anew, and has its turn.
    desk.serve, desk.stored[REF.digest] = desk.store, DATA
    path = await desk.files.hold(REF)
    assert await asyncio.to_thread(path.read_bytes) == DATA
    assert len(desk.requests) == 2


async def test_a_file_that_is_cut_short_is_fetched_again(desk: Desk) -> None:
    desk.stored[REF.digest] = DATA
    path = await desk.files.hold(REF)
    await asyncio.to_thread(path.write_bytes, DATA[:100])
    with pytest.raises(Unavailable, match="not what it was"):
        await desk.files.read(REF, 50, 100)
    desk.files.release(REF)
    await desk.files.hold(REF)
    assert await desk.files.read(REF, 50, 100) == DATA[50:150]
    assert await desk.files.read(REF, REF.size - 10, 100) == DATA[-10:]
    assert len(desk.requests) == 2


async def test_what_is_held_stays_and_the_rest_goes_by_the_limit(desk: Desk) -> None:
    await desk.open(limit=2 * len(DATA))
    refs = []
    for number in range(4):
        data = DATA[:-1] + bytes([number])
        ref = BlobRef(Digest(sha256(data).hexdigest()), len(data))
        desk.stored[ref.digest] = data
        refs.append(ref)
    await desk.files.hold(refs[0])
    for ref in refs[1:]:
        await desk.files.hold(ref)
        desk.files.release(ref)
    assert await desk.names() == {refs[0].digest, refs[3].digest}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((encode(w.Missing()),), NotFound),
        ((encode(w.Follows(REF.size + 1)),), NotFound),
        ((encode(w.Follows(REF.size)), DATA[::-1]), Unavailable),
        ((encode(w.Follows(REF.size)), DATA[:-1]), Unavailable),
        ((encode(w.Stored()),), Unavailable),
        ((encode(w.TransferFailed("unavailable", "disk")),), Unavailable),
    ],
    ids=["missing", "size", "digest", "short", "nonsense", "failed"],
)
async def test_what_is_not_what_was_asked_for(
    desk: Desk, answer: tuple[bytes, ...], kind: type[Exception]
) -> None:
    async def serve(request: w.BlobRequest, rest: bytes, stream: Stream) -> None:
        for part in answer:
            await stream.write(part)
        await stream.finish()

    desk.serve = serve
    with pytest.raises(kind):
        await desk.through_the_clock(desk.files.hold(REF), 1_000)
    assert await desk.names() == set()
    # It was given back: what is fetched then is not kept for ever.
    assert desk.files._cache._pins == {}
    desk.serve = desk.store
    desk.stored[REF.digest] = DATA
    assert (await desk.files.hold(REF)).name == REF.digest


async def test_a_full_disk_is_not_filled_by_what_is_fetched(desk: Desk) -> None:
    desk.stored[REF.digest] = DATA
    desk.free = KEEP_FREE - 1
    with pytest.raises(Unavailable, match="disk is full"):
        await desk.through_the_clock(desk.files.hold(REF), 1_000)
    desk.free = 1 << 40
    await desk.files.hold(REF)


async def test_a_file_that_was_damaged_before_the_start_is_fetched_again(desk: Desk) -> None:
    await desk.put()
    (desk.directory / REF.digest).write_bytes(DATA[::-1])
    (desk.directory / "7.new").write_bytes(b"left by a kill")
    await desk.open()
    assert await desk.names() == {REF.digest}
    path = await desk.files.hold(REF)
    assert await asyncio.to_thread(path.read_bytes) == DATA
    assert desk.requests[1:] == [w.GetBlob(REF.digest)]


async def test_a_file_that_somebody_removed_is_fetched_again(desk: Desk) -> None:
    await desk.put()
    await desk.files.hold(REF)
    (desk.directory / REF.digest).unlink()
    with pytest.raises(Unavailable, match="cannot be read"):
        await desk.files.read(REF, 0, 1)
    desk.files.release(REF)
    await desk.files.hold(REF)
    assert await desk.files.read(REF, 0, 1) == DATA[:1]


@pytest.mark.parametrize("digest", ["", "../x", "A" * 64])
async def test_what_is_no_digest_is_no_file(desk: Desk, digest: str) -> None:
    with pytest.raises(NotFound):
        await desk.files.hold(BlobRef(Digest(digest), 1))
    assert desk.requests == []

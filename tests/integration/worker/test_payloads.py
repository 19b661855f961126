"""Large payloads, modules and journals over streams of their own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from mvm_ci.domain.errors import BadInput, MvmCiError, NotFound, TooLarge, Unavailable
from mvm_ci.domain.outcome import Released, Stopped
from mvm_ci.domain.payload import BlobRef
from mvm_ci.ports.transport import Stream
from mvm_ci.testing.clock import settle
from mvm_ci.wire import blobs as w
from mvm_ci.wire import messages as m
from mvm_ci.wire.frames import encode
from tests.integration.worker.scripted import SPEC, Bench, Peer, bench, digest_of, placed, segment

DATA = b"payload" * 1000
REF = BlobRef(digest_of(DATA), len(DATA))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench(tmp_path) as made:
        yield made


async def request(peer: Peer) -> tuple[w.BlobRequest, Stream]:
    stream = await peer.connection.accept()
    reader = w.request_reader()
    while True:
        first = reader.feed_one(await stream.read())
        if first is not None:
            return first[0], stream


async def reply(stream: Stream, *parts: bytes) -> None:
    await stream.write(b"".join(parts))
    await stream.finish()


async def through_the_clock(desk: Bench, task: "asyncio.Task[object]") -> None:
    while not task.done():
        await desk.clock.advance(1_000)
        # Hashing and files are real threads.
        await asyncio.wait({task}, timeout=0.001)


async def test_a_blob_is_fetched_once_for_all_who_ask_and_kept(desk: Bench) -> None:
    desk.start()
    peer = await desk.open()
    gets = [asyncio.create_task(desk.payloads.get(REF)) for _ in range(5)]
    asked, stream = await request(peer)
    assert asked == w.GetBlob(REF.digest)
    gets[0].cancel()
    await reply(stream, encode(w.Follows(REF.size)), DATA)
    assert [await get for get in gets[1:]] == [DATA] * 4
    peer.connection.cut()  # type: ignore[attr-defined]
    assert await desk.payloads.get(REF) == DATA


async def test_what_the_control_plane_does_not_have_is_not_found(desk: Bench) -> None:
    desk.start()
    peer = await desk.open()
    get = asyncio.create_task(desk.payloads.get(REF))
    _, stream = await request(peer)
    await reply(stream, encode(w.Missing()))
    with pytest.raises(NotFound):
        await get


@pytest.mark.parametrize(
    "answer",
    [
        lambda: (encode(w.Follows(REF.size)), DATA[::-1]),
        lambda: (encode(w.Follows(REF.size)), DATA[:-1]),
        lambda: (encode(w.Follows(REF.size)), DATA + b"x"),
        lambda: (encode(w.Follows(w.MAX_BLOB + 1)),),
        lambda: (encode(w.Stored()),),
        lambda: (b"\xff\xff\xff\xff",),
        lambda: (encode(w.TransferFailed("unavailable", "disk")),),
    ],
)
async def test_wrong_bytes_are_tried_again_and_then_unavailable(
    desk: Bench, answer: Callable[[], tuple[bytes, ...]]
) -> None:
    desk.start()
    peer = await desk.open()

    async def serve() -> None:
        while True:
            _, stream = await request(peer)
            await reply(stream, *answer())

    serving = asyncio.create_task(serve())

    async def get() -> object:
        with pytest.raises(Unavailable, match="failed 5 times"):
            await desk.payloads.get(REF)
        return None

    await keep_alive(desk, peer, asyncio.create_task(get()))
    serving.cancel()


async def keep_alive(desk: Bench, peer: Peer, task: "asyncio.Task[object]") -> None:
    async def answer() -> None:
        while True:
            beat = await peer.expect(m.Heartbeat)
            await peer.send(m.Beat(beat.number))

    answering = asyncio.create_task(answer())
    await through_the_clock(desk, task)
    answering.cancel()
    await task


async def test_a_cut_transfer_goes_on_over_the_next_connection(desk: Bench) -> None:
    desk.start()
    peer = await desk.open()
    get: asyncio.Task[object] = asyncio.create_task(desk.payloads.get(REF))
    _, stream = await request(peer)
    await stream.write(encode(w.Follows(REF.size)) + DATA[:100])
    peer.connection.cut()  # type: ignore[attr-defined]
    again = await desk.open()

    async def serve() -> None:
        _, stream = await request(again)
        await reply(stream, encode(w.Follows(REF.size)), DATA)

    serving = asyncio.create_task(serve())
    await through_the_clock(desk, get)
    await serving
    assert await get == DATA


async def test_a_put_sends_only_what_is_wanted(desk: Bench) -> None:
    desk.start()
    peer = await desk.open()
    put = asyncio.create_task(desk.payloads.put(DATA))
    asked, stream = await request(peer)
    assert asked == w.PutBlob(REF.digest, REF.size)
    await stream.write(encode(w.Wanted()))
    got = b""
    while piece := await stream.read():
        got += piece
    assert got == DATA
    await reply(stream, encode(w.Stored()))
    assert await put == REF

    other = b"known already" * 500
    put = asyncio.create_task(desk.payloads.put(other))
    _, stream = await request(peer)
    await reply(stream, encode(w.Stored()))
    assert await stream.read() == b""
    assert (await put).digest == digest_of(other)


@pytest.mark.parametrize(
    ("data", "code", "error"), [(DATA, "refused", BadInput), (bytes(w.MAX_BLOB + 1), "", TooLarge)]
)
async def test_a_put_that_can_never_work_says_so(
    desk: Bench, data: bytes, code: str, error: type[MvmCiError]
) -> None:
    desk.start()
    peer = await desk.open()
    put = asyncio.create_task(desk.payloads.put(data))
    if code:
        _, stream = await request(peer)
        await reply(stream, encode(w.TransferFailed(code, "no")))
    with pytest.raises(error):
        await put


async def test_a_module_is_fetched_once_and_compiled_whenever_it_is_asked_for(desk: Bench) -> None:
    desk.start()
    peer = await desk.open()
    module = asyncio.create_task(desk.payloads.module(REF.digest))
    _, stream = await request(peer)
    await reply(stream, encode(w.Follows(REF.size)), DATA)
    assert (await module).digest == REF.digest
    assert await desk.payloads.module(REF.digest) == await module
    # The engine remembers it, and asks again when its machine code is gone.
    assert desk.compiler.compiled == [DATA, DATA]
    with pytest.raises(NotFound):
        await desk.payloads.module("../../etc/passwd")


def cut_assignment(job: int) -> m.Assignment:
    return m.Assignment(placed(job), 1, SPEC, (), 2)


async def test_a_journal_too_large_for_a_frame_is_fetched_before_the_job_is_placed(desk: Bench) -> None:
    desk.start()
    peer = await desk.open()
    await peer.expect(m.Credit)
    await peer.send(m.Assign((cut_assignment(1),)))
    asked, stream = await request(peer)
    assert asked == w.GetJournal(placed(1))
    assert desk.engine.placements == {}
    desk.engine.arrived.clear()
    journal = (segment(0, b"x" * 100), segment(1))
    raw = w.encode_journal(journal)
    await reply(stream, encode(w.Follows(len(raw))), raw)
    await desk.engine.arrived.wait()
    assert desk.engine.placements[placed(1)].journal == journal


async def test_a_cancellation_waits_until_the_journal_is_here(desk: Bench) -> None:
    desk.start()
    peer = await desk.open()
    await peer.expect(m.Credit)
    await peer.send(m.Assign((cut_assignment(1),)), m.Stop((placed(1),), cancel=True))
    _, stream = await request(peer)
    assert desk.engine.cancelled == []
    desk.engine.arrived.clear()
    raw = w.encode_journal((segment(0, b"x" * 100), segment(1)))
    await reply(stream, encode(w.Follows(len(raw))), raw)
    await desk.engine.arrived.wait()
    assert desk.engine.cancelled == [placed(1)]
    assert (await peer.expect(m.Ended)).items == (m.EndedItem(placed(1), Stopped(), None),)


async def test_a_journal_that_is_gone_gives_the_job_back(desk: Bench) -> None:
    desk.start()
    peer = await desk.open()
    await peer.expect(m.Credit)
    await peer.send(m.Assign((cut_assignment(1), cut_assignment(2), cut_assignment(3))))
    for _ in range(3):
        asked, stream = await request(peer)
        assert isinstance(asked, w.GetJournal)
        if asked.placed == placed(1):
            await reply(stream, encode(w.Missing()))
    assert (await peer.expect(m.Ended)).items == (m.EndedItem(placed(1), Released(), None),)
    await peer.send(m.Stop((placed(2),)), m.Drop((placed(3),)))
    assert (await peer.expect(m.Ended)).items == (m.EndedItem(placed(2), Stopped(), None),)
    await settle()
    assert desk.engine.placements == {}

"""Connections: transfers, limits, and that one bad peer harms nobody else."""

import asyncio
import os
from hashlib import sha256

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mvm_ci.control_plane import worker_link
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.job import Placed
from mvm_ci.domain.segment import Segment
from mvm_ci.testing.transport import MemoryStream
from mvm_ci.wire import blobs as w
from mvm_ci.wire import messages as m
from mvm_ci.wire.frames import encode
from tests.integration.control_plane.conftest import Stand, submit
from tests.integration.control_plane.scripted_worker import HELLO, ScriptedWorker

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)


async def transfer(
    worker: ScriptedWorker, request: w.BlobRequest, data: bytes = b""
) -> tuple[list[object], bytes]:
    """The answers to a transfer, and the raw bytes behind the first."""
    stream = await worker.connection.open()
    await stream.write(encode(request) + data)
    await stream.finish()
    reader = w.answer_reader()
    answers: list[object] = []
    raw = b""
    while data := await stream.read():
        if answers and isinstance(answers[0], w.Follows):
            raw += data
            continue
        while (found := reader.feed_one(data)) is not None:
            answer, data = found
            answers.append(answer)
            if isinstance(answer, w.Follows):
                raw = data
                break
            if not data:
                break
    return answers, raw


async def test_blobs_go_both_ways(stand: Stand) -> None:
    worker = await stand.worker()
    await worker.welcome()
    data = os.urandom(700_000)
    digest = Digest(sha256(data).hexdigest())
    assert await transfer(worker, w.GetBlob(digest)) == ([w.Missing()], b"")
    put = w.PutBlob(digest, len(data))
    assert await transfer(worker, put, data) == ([w.Wanted(), w.Stored()], b"")
    assert await transfer(worker, put) == ([w.Stored()], b"")
    assert await transfer(worker, w.GetBlob(digest)) == ([w.Follows(len(data))], data)


async def test_a_journal_too_large_for_a_frame_is_fetched(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await stand.worker()
    await worker.welcome(credit=1)
    await submit(api)
    (item,) = await worker.assigned()
    segments = tuple(Segment(at, 1, bytes(256 << 10)) for at in range(12))
    for segment in segments:
        await worker.append(item.placed, segment)
    await worker.welcome(credit=1)
    (again,) = await worker.assigned()
    assert (again.journal, again.entries) == ((), 12)
    answers, raw = await transfer(worker, w.GetJournal(again.placed))
    assert answers == [w.Follows(len(raw))]
    assert w.decode_journal(raw) == segments
    over = w.GetJournal(Placed(again.placed.job, 1))
    assert await transfer(worker, over) == ([w.Missing()], b"")


async def test_a_forged_blob_ends_the_connection_and_stores_nothing(stand: Stand) -> None:
    worker = await stand.worker()
    await worker.welcome()
    digest = Digest(sha256(b"good").hexdigest())
    stream = await worker.connection.open()
    await stream.write(encode(w.PutBlob(digest, 4)) + b"evil")
    assert (await worker.closed())[0] == m.CLOSE_PROTOCOL
    assert not await stand.blobs.has(digest)


async def test_nothing_is_transferred_before_a_welcome(stand: Stand) -> None:
    worker = await stand.worker(join_token=None)
    digest = (await stand.blobs.put(b"secret")).digest
    answer = await worker.say_hello()
    assert isinstance(answer, m.Refused)
    stream = await worker.connection.open()
    await stream.write(encode(w.GetBlob(digest)))
    try:
        data = await stream.read()
    except Unavailable:
        data = b""
    assert data == b""


async def test_who_says_nothing_is_cut_off(stand: Stand) -> None:
    worker = await stand.worker()
    worker_link.HELLO_S, before = 0.01, worker_link.HELLO_S  # type: ignore[misc]
    try:
        await worker.dial()
        assert await worker.closed() == (m.CLOSE_SILENT, "no Hello in time")
    finally:
        worker_link.HELLO_S = before  # type: ignore[misc]


async def test_jobs_beyond_the_credit_are_never_assigned(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await stand.worker()
    await worker.welcome(credit=2)
    await worker.beat()
    await submit(api, 5)
    assert len(await worker.assigned(2)) == 2
    await worker.beat()
    assert not any(isinstance(message, m.Assign) for message in worker.received)


async def test_a_large_submission_comes_in_frames_that_fit(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await stand.worker()
    await worker.welcome(credit=2_000)
    await worker.beat()
    answer = await api.post(
        "/v1/jobs", json={"jobs": [{"module": "a" * 64, "input": "x" * 4000} for _ in range(1_500)]}
    )
    assert answer.status_code == 200
    assert len(await worker.assigned(1_500)) == 1_500


async def test_what_gathered_goes_out_in_writes_that_a_slow_network_can_take(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = MemoryStream.write
    sizes: list[int] = []

    async def noted(stream: MemoryStream, data: bytes) -> None:
        sizes.append(len(data))
        await write(stream, data)

    worker = await stand.worker()
    await worker.welcome(credit=1_500)
    await worker.beat()
    monkeypatch.setattr(MemoryStream, "write", noted)
    jobs = [{"module": "a" * 64, "input": "x" * 4000} for _ in range(1_500)]
    assert (await api.post("/v1/jobs", json={"jobs": jobs})).status_code == 200
    assert len(await worker.assigned(1_500)) == 1_500
    assert max(sizes) == worker_link.WRITE_BYTES


FRAMES = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [
            m.Credit(1),
            m.Credit(-5),
            m.Credit(1, -1),
            m.Heartbeat(7, 0),
            m.Pong(3),
            m.Started((Placed(1, 1),)),  # type: ignore[arg-type]
            m.Append((m.AppendItem(Placed(1, 1), Segment(-1, 0, b"")),)),  # type: ignore[arg-type]
            m.Ended(()),
            m.Draining(),
            HELLO,
        ]
    ).map(encode),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hello=st.booleans(), parts=st.lists(FRAMES, max_size=6))
async def test_any_bytes_on_a_link_close_only_that_link(
    stand: Stand, *, hello: bool, parts: list[bytes]
) -> None:
    neighbour = await stand.worker()
    await neighbour.welcome()
    rogue = await stand.worker()
    if hello:
        await rogue.welcome()
    else:
        await rogue.dial()
    try:
        await rogue.stream.write(b"".join(parts) + b"\xff\xff\xff\xff")
        await rogue.stream.finish()
    except Unavailable:
        pass
    # A whole Hello may come by chance: without a token it is refused.
    assert (await rogue.closed())[0] in {m.CLOSE_PROTOCOL, m.CLOSE_REFUSED}
    assert (await neighbour.beat()).number == 1
    async with stand.client() as api:
        assert (await api.get("/readyz")).status_code == 200
    async with asyncio.timeout(5):
        await neighbour.send(m.Goodbye())
        await neighbour.closed()

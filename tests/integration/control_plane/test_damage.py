"""Damaged journals in the store: a torn tail is cut off, what is missing parks the job."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Released
from mvm_ci.domain.segment import Append, Segment
from mvm_ci.journal.codec import split
from mvm_ci.journal.entries import ClockRead, Entry, Logged
from mvm_ci.lifecycle.dispatch import PAUSE_MS
from mvm_ci.wire import blobs as w
from mvm_ci.wire import messages as m
from mvm_ci.wire.frames import encode
from tests.integration.control_plane.conftest import Stand, submit
from tests.integration.control_plane.scripted_worker import ScriptedWorker

pytestmark = pytest.mark.parametrize("stand", ["sqlite"], indirect=True)


def entries(first: int, count: int, size: int = 10) -> Segment:
    read: Entry = ClockRead(wall=True, value_ns=1)
    (segment,) = split([read, *[Logged("stdout", "x" * size, at) for at in range(count - 1)]], first)
    return segment


SEGMENTS = [entries(0, 3), entries(3, 2), entries(5, 4)]


async def given_back(
    stand: Stand, api: httpx.AsyncClient, segments: list[Segment] = SEGMENTS
) -> tuple[ScriptedWorker, str]:
    """A job that a worker gave back with a journal."""
    worker = await stand.worker()
    await worker.welcome(credit=1)
    await worker.beat()
    (job,) = await submit(api)
    (item,) = await worker.assigned()
    await worker.append(item.placed, *segments)
    await worker.end(item, outcome=Released())
    return worker, job["id"]


async def damage(tmp_path: Path, statement: str, *values: Any) -> None:
    """Changes the store behind the back of whoever has it open."""

    def change() -> None:
        with closing(sqlite3.connect(tmp_path / "store" / "state.db", timeout=10)) as connection:
            changed = connection.execute(statement, values).rowcount
            connection.commit()
            assert changed == 1

    await asyncio.to_thread(change)


async def truncate(tmp_path: Path, first: int, keep: int) -> None:
    await damage(tmp_path, "UPDATE journal SET data = substr(data, 1, ?) WHERE first = ?", keep, first)


@pytest.mark.parametrize("keep", [0, 1, 5, 6, 30])
async def test_a_torn_tail_is_cut_off_and_the_job_goes_on(
    stand: Stand, api: httpx.AsyncClient, tmp_path: Path, keep: int
) -> None:
    worker, job = await given_back(stand, api)
    await truncate(tmp_path, 5, keep)
    with capture_logs() as logs:
        await worker.send(m.Credit(1))
        (again,) = await worker.assigned()
    assert (again.entries, again.journal) == (5, tuple(SEGMENTS[:2]))
    (said,) = [entry for entry in logs if entry["event"] == "journal_tail_was_torn"]
    assert (said["log_level"], said["job"], said["entries"], said["lost"]) == ("error", job, 5, 4)
    assert (await api.get(f"/v1/jobs/{job}")).json()["journal_length"] == 5
    assert (await worker.append(again.placed, entries(5, 2))).results == (Append.DONE,)
    await worker.end(again)
    assert (await api.get(f"/v1/jobs/{job}")).json()["journal_length"] == 7


async def test_a_journal_of_nothing_but_a_torn_segment_begins_anew(
    stand: Stand, api: httpx.AsyncClient, tmp_path: Path
) -> None:
    worker, _ = await given_back(stand, api, SEGMENTS[:1])
    await truncate(tmp_path, 0, 9)
    await worker.send(m.Credit(1))
    (again,) = await worker.assigned()
    assert (again.entries, again.journal, again.attempt) == (0, (), 1)
    await worker.append(again.placed, SEGMENTS[0])
    await worker.end(again)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("DELETE FROM journal WHERE first = 0", "journal entry 0: the next stored segment begins at 3"),
        ("DELETE FROM journal WHERE first = 3", "journal entry 3: the next stored segment begins at 5"),
        ("DELETE FROM journal WHERE first = 5", "journal entry 5: the journal ends here, it had 9 entries"),
        ("UPDATE journal SET first = 6 WHERE first = 5", "the next stored segment begins at 6"),
        ("UPDATE journal SET count = 3 WHERE first = 5", "journal entry 8: the journal ends here"),
    ],
)
async def test_what_is_missing_parks_the_job(
    stand: Stand, api: httpx.AsyncClient, tmp_path: Path, statement: str, says: str
) -> None:
    worker, job = await given_back(stand, api)
    await damage(tmp_path, statement)
    with capture_logs() as logs:
        await worker.send(m.Credit(1))
        shown = (await api.get(f"/v1/jobs/{job}/wait", params={"timeout_s": 10})).json()
    assert shown["state"] == "paused"
    assert shown["failure"]["kind"] == "engine"
    assert says in shown["failure"]["message"]
    assert {entry["log_level"] for entry in logs if entry["event"] == "journal_damaged"} == {"error"}
    # Its worker has not lost its credit by that, and it can be tried again once the journal is repaired.
    (other,) = await submit(api)
    (item,) = await worker.assigned()
    await worker.end(item)
    assert (await api.get(f"/v1/jobs/{other['id']}")).json()["state"] == "completed"


@pytest.mark.parametrize("first", [0, 3, 5])
async def test_what_was_changed_is_handed_out_as_it_is_for_a_worker_to_refuse(
    stand: Stand, api: httpx.AsyncClient, tmp_path: Path, first: int
) -> None:
    worker, _ = await given_back(stand, api)
    (segment,) = (one for one in SEGMENTS if one.first == first)
    changed = segment.data[:-2] + b"\x7e" + segment.data[-1:]
    await damage(tmp_path, "UPDATE journal SET data = ? WHERE first = ?", changed, first)
    await worker.send(m.Credit(1))
    (again,) = await worker.assigned()
    assert again.entries == 9
    assert [one.first for one in again.journal if one not in SEGMENTS] == [first]
    await worker.end(again)


@pytest.fixture
def large() -> list[Segment]:
    """More than fits an assignment."""
    return [entries(4 * at, 4, 64_000) for at in range(14)]


async def fetched(worker: ScriptedWorker, placed: Placed) -> w.BlobAnswer:
    stream = await worker.connection.open()
    await stream.write(encode(w.GetJournal(placed)))
    reader = w.answer_reader()
    while True:
        found = reader.feed_one(await stream.read())
        if found is not None:
            return found[0]


async def test_a_large_journal_is_repaired_before_it_is_fetched(
    stand: Stand, api: httpx.AsyncClient, tmp_path: Path, large: list[Segment]
) -> None:
    worker, _ = await given_back(stand, api, large)
    await truncate(tmp_path, 52, 100)
    await worker.send(m.Credit(1))
    (again,) = await worker.assigned()
    assert (again.entries, again.journal) == (52, ())
    answer = await fetched(worker, again.placed)
    assert isinstance(answer, w.Follows)
    assert answer.size == len(w.encode_journal(tuple(large[:13])))


async def test_a_journal_that_is_damaged_while_it_is_fetched_is_not_sent(
    stand: Stand, api: httpx.AsyncClient, tmp_path: Path, large: list[Segment]
) -> None:
    worker, _ = await given_back(stand, api, large)
    await worker.send(m.Credit(1))
    (again,) = await worker.assigned()
    await damage(tmp_path, "DELETE FROM journal WHERE first = 4")
    answer = await fetched(worker, again.placed)
    assert isinstance(answer, w.TransferFailed)
    assert answer.code == "corrupt-journal"


async def test_a_store_that_fails_at_the_cut_gives_the_job_back(
    stand: Stand, api: httpx.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, _ = await given_back(stand, api)
    await truncate(tmp_path, 5, 20)
    cut: Callable[..., Any] = stand.queue.cut_journal

    def fail(*_: object) -> asyncio.Future[bool]:
        failed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        failed.set_exception(Unavailable("the disk is full"))
        monkeypatch.setattr(stand.queue, "cut_journal", cut)
        return failed

    monkeypatch.setattr(stand.queue, "cut_journal", fail)
    before = stand.clock.sleeping
    await worker.send(m.Credit(1))
    async with asyncio.timeout(10):
        await stand.clock.until_sleeping(before + 1)
    await stand.clock.advance(PAUSE_MS)
    (again,) = await worker.assigned()
    assert (again.entries, again.placed.epoch) == (5, 3)

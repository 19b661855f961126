"""Forks that a crash or a full disk cuts off leave nothing behind, and hold nobody up."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mvm_ci.adapters.sql.database import FILE
from mvm_ci.adapters.sql.fork_writes import SLICE
from mvm_ci.adapters.sql.store import SqlStore
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import JobState
from mvm_ci.domain.segment import Prefix
from mvm_ci.ports.job_queue import JobQueue, Segment
from tests.contract.jobs import new_job, placed, reach

NEW = JobId(7)
COUNT = 5 * SLICE
SEGMENTS = [Segment(at, 1, b"%d" % at) for at in range(COUNT)]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    store = await asyncio.to_thread(SqlStore.open, tmp_path)
    await reach(store.queue, 1, JobState.IN_PROGRESS)
    for segment in SEGMENTS:
        await store.queue.append([(placed(1), segment)])
    yield store
    await store.close()


def prefix(length: int = COUNT) -> Prefix:
    return Prefix(job=JobId(1), attempt=1, length=length, begin=0, end=length, others=())


def rows(directory: Path) -> tuple[int, int]:
    """Segments of the new job, and notes of forks under way."""
    with closing(sqlite3.connect(directory / FILE)) as connection:
        (segments,) = connection.execute("SELECT count(*) FROM journal WHERE job = ?", (NEW,)).fetchone()
        (notes,) = connection.execute("SELECT count(*) FROM meta WHERE key LIKE 'fork:%'").fetchone()
    return segments, notes


def stopping(queue: Any, after: int, error: Exception | None = None) -> asyncio.Event:
    """The queue's writer takes so many calls more; then it fails, or nothing more happens."""
    writer, reached, left = queue._writer, asyncio.Event(), [after]
    call = writer.call

    def limited(*arguments: Any) -> asyncio.Future[Any]:
        if not left[0]:
            reached.set()
            stopped: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            if error is not None:
                stopped.set_exception(error)
            return stopped
        left[0] -= 1
        made: asyncio.Future[Any] = call(*arguments)
        return made

    writer.call = limited
    return reached


@pytest.mark.parametrize("after", [1, 3, 5])
async def test_what_a_crash_left_of_a_fork_goes_at_the_next_start(
    store: SqlStore, tmp_path: Path, after: int
) -> None:
    reached = stopping(store.queue, after)
    forking = store.queue.fork(new_job(NEW), prefix())
    await reached.wait()
    assert await asyncio.to_thread(rows, tmp_path) == (after * SLICE, 1)
    assert await store.queue.get([NEW]) == [None]
    forking.cancel()
    del store.queue._writer.call  # the real one again
    await store.close()
    again = await asyncio.to_thread(SqlStore.open, tmp_path)
    try:
        assert await asyncio.to_thread(rows, tmp_path) == (0, 0)
        queue: JobQueue = again.queue
        assert await queue.journal(JobId(1), 1) == SEGMENTS
        assert await queue.fork(new_job(NEW), prefix()) is True
        assert await queue.journal(NEW, 1) == SEGMENTS
    finally:
        await again.close()


async def test_a_fork_that_the_disk_has_no_room_for_leaves_nothing(store: SqlStore, tmp_path: Path) -> None:
    stopping(store.queue, 2, Unavailable("the disk is full"))
    with pytest.raises(Unavailable, match="the disk is full"):
        await store.queue.fork(new_job(NEW), prefix())
    del store.queue._writer.call
    await store.queue.get([NEW])
    await store.close()  # with what waits for the next commit
    assert await asyncio.to_thread(rows, tmp_path) == (0, 0)


async def test_a_fork_that_is_done_leaves_no_note(store: SqlStore, tmp_path: Path) -> None:
    assert await store.queue.fork(new_job(NEW), prefix(COUNT - 1)) is True
    assert await asyncio.to_thread(rows, tmp_path) == (COUNT - 1, 0)
    assert await store.queue.fork(new_job(NEW), prefix()) is True, "a repetition"
    assert await asyncio.to_thread(rows, tmp_path) == (COUNT - 1, 0)


async def test_who_gives_up_waiting_does_not_undo_a_fork(store: SqlStore) -> None:
    forking = store.queue.fork(new_job(NEW), prefix())
    await asyncio.sleep(0)
    forking.cancel()
    await asyncio.gather(*store.queue._forks)
    assert await store.queue.journal(NEW, 1) == SEGMENTS


async def test_others_have_their_turns_between_the_slices(store: SqlStore) -> None:
    order: list[str] = []

    async def noted(name: str, answer: Any) -> None:
        await answer
        order.append(name)

    fork = asyncio.create_task(noted("fork", store.queue.fork(new_job(NEW), prefix())))
    for number in range(3):
        await noted("job", store.queue.submit([new_job(100 + number)]))
    await fork
    assert order[0] == "job"
    assert order.index("fork") >= 2


async def test_a_source_that_goes_between_the_slices_leaves_no_fork(store: SqlStore, tmp_path: Path) -> None:
    reached = stopping(store.queue, 2)
    forking = store.queue.fork(new_job(NEW), prefix(2 * SLICE))
    await reached.wait()  # all is copied, and the job itself is to come
    del store.queue._writer.call
    assert await asyncio.to_thread(rows, tmp_path) == (2 * SLICE, 1)
    forking.cancel()

    def remove() -> None:
        with closing(sqlite3.connect(tmp_path / FILE, timeout=10)) as connection:
            connection.execute("DELETE FROM journal WHERE job = 1")
            connection.commit()

    await asyncio.to_thread(remove)
    assert await store.queue.fork(new_job(NEW), prefix(2 * SLICE)) is False
    assert await asyncio.to_thread(rows, tmp_path) == (0, 0)

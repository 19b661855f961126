"""What is left of a rate under kill -9: it and the starts that took from it are stored together.

Run as a script, this file is the process to be killed: it works on a store and prints what was acknowledged.
"""

import asyncio
import sys
from itertools import count
from pathlib import Path

import pytest

from mvm_ci.adapters.sql.store import SqlStore
from mvm_ci.domain.ids import Digest, JobId, SessionId
from mvm_ci.domain.job import JobSpec, JobState, NewJob
from mvm_ci.domain.lane import lane
from mvm_ci.domain.level import Level
from mvm_ci.ports.job_queue import JobQueue

TOKENS, HOUR = 1_000_000, 3_600_000
SESSION = SessionId(1)
TIMEOUT_S = 60


def job(number: int, session: SessionId | None) -> NewJob:
    spec = JobSpec(module=Digest("0" * 64), input=b"")
    return NewJob(id=JobId(number), spec=spec, created_ms=0, session=session)


def left(started: int) -> Level:
    return Level("default", "k", float(TOKENS - started), 0, HOUR)


async def start(queue: JobQueue, number: int) -> None:
    """One start: by a job that is placed at once, or by a claim that asks for more than there is."""
    if number % 2:
        await queue.submit([job(number, SESSION)], [left(number)])
        return
    queue.submit([job(number, None)])
    assert len(await queue.claim(SESSION, lane().id, 3, left(number + 2))) == 1


async def work(directory: Path) -> None:
    store = await asyncio.to_thread(SqlStore.open, directory)
    under_way: list[asyncio.Task[None]] = []
    for number in count(1):
        under_way.append(asyncio.create_task(start(store.queue, number)))
        # Some share a commit.
        if not number % 5:
            await asyncio.gather(*under_way)
            under_way.clear()
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()


@pytest.mark.parametrize("acknowledged", [5, 100, 300])
async def test_after_a_kill_a_rate_is_what_the_starts_that_are_stored_left_of_it(
    acknowledged: int, tmp_path: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, str(tmp_path / "state"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            while int(await process.stdout.readline()) < acknowledged:
                pass
    finally:
        process.kill()
        await process.communicate()
    store = await asyncio.to_thread(SqlStore.open, tmp_path / "state")
    try:
        started = (await store.queue.counts())[JobState.CLAIMED]
        assert started >= acknowledged
        assert await store.queue.levels(0) == [left(started)]
    finally:
        await store.close()


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1])))

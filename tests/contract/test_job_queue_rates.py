"""One suite for every job queue: what is left of rates is stored with the jobs that took from them."""

import asyncio
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from mvm_ci.adapters.sql.store import SqlStore
from mvm_ci.domain.ids import SessionId
from mvm_ci.domain.lane import lane
from mvm_ci.domain.level import Level
from mvm_ci.ports.job_queue import JobQueue
from tests.contract.jobs import NOW, SESSION, new_job

MINUTE = 60_000
LEVEL = Level("default", "k", 7.25, NOW, NOW + MINUTE)


async def test_nothing_is_left_of_rates_that_nobody_used(queue: JobQueue) -> None:
    await queue.submit([new_job(1), new_job(2, session=SESSION)])
    await queue.claim(SESSION, lane().id, 1)
    assert await queue.levels(NOW) == []


async def test_the_last_level_of_a_key_is_told_until_it_is_full(queue: JobQueue) -> None:
    other, team = LEVEL._replace(key="l"), LEVEL._replace(namespace="team", tokens=-1.5)
    await queue.submit([new_job(1, session=SESSION)], [LEVEL, other, team])
    later = LEVEL._replace(tokens=6.0, at_ms=NOW + 10, full_ms=NOW + 10 + MINUTE)
    await queue.submit([new_job(2, session=SESSION)], [later])
    assert await queue.levels(NOW + 10) == [later, other, team]
    assert await queue.levels(NOW + MINUTE) == [later]
    assert await queue.levels(later.full_ms) == []


async def test_on_a_clock_that_was_set_back_levels_are_of_the_time_at_which_that_is_seen(
    queue: JobQueue,
) -> None:
    earlier = Level("default", "earlier", 1.0, NOW - 20, NOW + 20)
    await queue.submit([new_job(1, session=SESSION)], [LEVEL, earlier])
    seen = LEVEL._replace(at_ms=NOW - 10, full_ms=NOW - 10 + MINUTE)
    assert await queue.levels(NOW - 10) == [earlier, seen]
    # From then on time passes for it, as often as it is asked for.
    assert await queue.levels(NOW + 20) == [seen]
    assert await queue.levels(seen.full_ms) == []


@pytest.mark.parametrize(("waiting", "found"), [(1, 1), (2, 2), (3, 2)])
async def test_a_claim_takes_from_a_rate_for_each_job_that_it_finds(
    queue: JobQueue, waiting: int, found: int
) -> None:
    await queue.submit([new_job(number) for number in range(1, 1 + waiting)])
    assert len(await queue.claim(SESSION, lane().id, 2, LEVEL)) == found
    assert await queue.levels(NOW) == [LEVEL._replace(tokens=LEVEL.tokens + 2 - found)]


async def test_a_claim_that_finds_nothing_leaves_a_rate_as_it_was(queue: JobQueue) -> None:
    assert await queue.claim(SESSION, lane().id, 2, LEVEL) == []
    assert await queue.levels(NOW) == []
    await queue.submit([new_job(1, session=SESSION)], [LEVEL])
    lower = LEVEL._replace(tokens=1.0, at_ms=NOW + 10)
    assert await queue.claim(SESSION, lane().id, 2, lower) == []
    assert await queue.levels(NOW) == [LEVEL]


async def test_levels_are_those_of_the_last_call_whatever_was_waited_for(queue: JobQueue) -> None:
    calls = [queue.submit([new_job(1, session=SESSION)], [LEVEL]), queue.submit([new_job(2)])]
    calls.append(queue.submit([new_job(3, session=SESSION)], [LEVEL._replace(tokens=6.0)]))
    claimed = queue.claim(SESSION, lane().id, 1, LEVEL._replace(tokens=5.0))
    last = queue.submit([new_job(4, session=SESSION)], [LEVEL._replace(tokens=4.0)])
    await asyncio.gather(*calls, last)
    assert [job.id for job in await claimed] == [2]
    assert await queue.levels(NOW) == [LEVEL._replace(tokens=4.0)]


# -------------------------------------------------------------------- the one that keeps them in a file


async def test_levels_outlive_the_process_and_full_ones_do_not_pile_up(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    store = await asyncio.to_thread(SqlStore.open, directory)
    with blockbuster_ctx():
        for number in range(1, 201):
            at_ms = NOW + number * MINUTE // 10
            level = Level("default", f"pr-{number}", 0.0, at_ms, at_ms + MINUTE)
            await store.queue.submit([new_job(number, session=SESSION)], [level])
        # Ten of them are in use at a time.
        rows = await store._reader.read(lambda db: db.execute("SELECT count(*) FROM rates").fetchone())
        assert rows[0] <= 11
        expected = await store.queue.levels(level.at_ms)
        await store.close()
    assert len(expected) == 10
    store = await asyncio.to_thread(SqlStore.open, directory)
    assert await store.queue.levels(level.at_ms) == expected
    await store.close()


async def test_a_claim_that_fails_takes_nothing_and_one_that_does_not_is_stored_with_its_level(
    tmp_path: Path,
) -> None:
    store = await asyncio.to_thread(SqlStore.open, tmp_path / "state")
    await store.queue.submit([new_job(1), new_job(2)])
    failing = store.queue.claim(SessionId(1 << 64), lane().id, 1, LEVEL)
    going = store.queue.claim(SESSION, lane().id, 1, LEVEL._replace(tokens=6.0))
    with pytest.raises(OverflowError):
        await failing
    assert len(await going) == 1
    assert await store.queue.levels(NOW) == [LEVEL._replace(tokens=6.0)]
    await store.close()

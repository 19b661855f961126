"""Counts of jobs are made anew as often as they are cheap."""

import asyncio

from mvm_ci.domain.job import JobState
from mvm_ci.lifecycle.counts import FEW, REUSE, JobCounts


class SlowQueue:
    """A queue that counts as long as a test says."""

    def __init__(self) -> None:
        self.now = 0.0
        self.takes = 0.0
        self.counted = 0
        self.jobs = FEW + 1

    async def counts(self, namespace: str | None = None) -> dict[JobState, int]:
        assert namespace is None
        self.counted += 1
        await asyncio.sleep(0)
        self.now += self.takes
        return {JobState.COMPLETED: self.jobs - self.counted, JobState.PENDING: self.counted}


def job_counts(queue: SlowQueue) -> JobCounts:
    return JobCounts(queue, lambda: queue.now)  # type: ignore[arg-type] # all that it needs of a queue


async def test_few_jobs_are_counted_each_time() -> None:
    queue = SlowQueue()
    counts = job_counts(queue)
    queue.jobs, queue.takes = FEW, 1.0
    assert [(await counts.get())[JobState.PENDING] for _ in range(3)] == [1, 2, 3]


async def test_a_count_that_took_long_is_used_in_proportion() -> None:
    queue = SlowQueue()
    counts = job_counts(queue)
    queue.takes = 1.0
    await counts.get()
    queue.now += REUSE - 0.5
    assert (await counts.get())[JobState.PENDING] == 1
    queue.now += 1.0
    assert (await counts.get())[JobState.PENDING] == 2


async def test_who_asks_while_it_is_counted_gets_the_same_count() -> None:
    queue = SlowQueue()
    counts = job_counts(queue)
    first, second = await asyncio.gather(counts.get(), counts.get())
    assert first[JobState.PENDING] == second[JobState.PENDING] == 1
    assert queue.counted == 1

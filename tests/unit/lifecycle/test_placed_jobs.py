"""Jobs whose guests ask, whether they are durable or not."""

import pytest

from mvm_ci.adapters.memory.queue import MemoryJobQueue
from mvm_ci.domain.errors import NotFound, Unavailable
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import JobState
from mvm_ci.lifecycle.placed_jobs import PlacedJobs
from tests.contract.jobs import reach


async def test_one_that_is_not_durable_yet_is_to_ask_again() -> None:
    queue, uncommitted = MemoryJobQueue(), {JobId(1), JobId(2)}
    await reach(queue, 1, JobState.IN_PROGRESS)
    jobs = PlacedJobs(queue, uncommitted)
    assert (await jobs.job(JobId(1))).id == JobId(1)
    with pytest.raises(Unavailable, match="not durable yet"):
        await jobs.job(JobId(2))
    with pytest.raises(NotFound):
        await jobs.job(JobId(3))

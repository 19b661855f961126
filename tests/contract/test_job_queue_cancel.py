"""A job whose guest has a grace to clean up: cancelled, it is placed once more if it has to be."""

import pytest
from msgspec.structs import replace

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import JobState
from mvm_ci.domain.outcome import Released, Stopped, Suspended
from mvm_ci.ports.job_queue import Cancelled, CancelResult, JobQueue, Segment
from tests.contract.jobs import FAILED, NOW, OTHER_SESSION, SESSION, claim, new_job, placed, report

ONE = JobId(1)
TAIL = Segment(0, 2, b"entries")


async def begun(queue: JobQueue, *, grace_ms: int = 1_000) -> None:
    """A job that is placed."""
    new = new_job(1)
    await queue.submit([replace(new, spec=replace(new.spec, cancel_grace_ms=grace_ms))])
    await claim(queue, SESSION, 1)


async def state(queue: JobQueue) -> JobState:
    (job,) = await queue.get([ONE])
    assert job is not None
    return job.state


async def suspended(queue: JobQueue, *topics: str) -> None:
    await begun(queue)
    assert await queue.report([report(1, Suspended(NOW + 9_000, topics), tail=TAIL)], NOW) == [True]


@pytest.mark.parametrize("topics", [(), ("message:go",)])
async def test_a_suspended_one_is_placed_once_more_to_clean_up(
    queue: JobQueue, topics: tuple[str, ...]
) -> None:
    await suspended(queue, *topics)
    assert await queue.cancel([ONE], NOW) == [CancelResult(cancelled=Cancelled.STOPPING)]
    assert await state(queue) is JobState.PENDING
    (job,) = await claim(queue, OTHER_SESSION, 1)
    assert (job.cancelling, job.journal_length, job.epoch) == (True, 2, 2)
    assert await state(queue) is JobState.CANCELLING
    assert await queue.report([report(1, Stopped(), epoch=2)], NOW + 5) == [True]
    assert await state(queue) is JobState.CANCELLED


async def test_one_that_lost_its_worker_is_placed_once_more_to_clean_up(queue: JobQueue) -> None:
    await begun(queue)
    await queue.append([(placed(1), TAIL)])
    await queue.rescue(SESSION, NOW, 10)
    assert await queue.cancel([ONE], NOW) == [CancelResult(cancelled=Cancelled.STOPPING)]
    (job,) = await claim(queue, OTHER_SESSION, 1)
    assert job.cancelling


async def test_asked_once_more_it_is_cancelled(queue: JobQueue) -> None:
    await suspended(queue)
    await queue.cancel([ONE], NOW)
    assert await queue.cancel([ONE], NOW) == [CancelResult(cancelled=Cancelled.DONE)]
    assert await state(queue) is JobState.CANCELLED


async def test_a_worker_that_is_lost_while_it_cleans_up_ends_it(queue: JobQueue) -> None:
    await suspended(queue)
    await queue.cancel([ONE], NOW)
    await claim(queue, OTHER_SESSION, 1)
    rescued = await queue.rescue(OTHER_SESSION, NOW, 10)
    assert rescued.cancelled == (ONE,)
    assert await state(queue) is JobState.CANCELLED


@pytest.mark.parametrize("outcome", [FAILED, Released(), Suspended(NOW + 99)])
async def test_however_its_clean_up_ends_it_is_cancelled(queue: JobQueue, outcome: object) -> None:
    await suspended(queue)
    await queue.cancel([ONE], NOW)
    await claim(queue, OTHER_SESSION, 1)
    assert await queue.report([report(1, outcome, epoch=2)], NOW) == [True]  # type: ignore[arg-type]
    assert await state(queue) is JobState.CANCELLED


async def test_one_that_has_not_begun_is_cancelled_at_once(queue: JobQueue) -> None:
    new = new_job(1)
    await queue.submit([replace(new, spec=replace(new.spec, cancel_grace_ms=1_000))])
    assert await queue.cancel([ONE], NOW) == [CancelResult(cancelled=Cancelled.DONE)]


async def test_without_a_grace_a_suspended_one_is_cancelled_at_once(queue: JobQueue) -> None:
    await begun(queue, grace_ms=0)
    await queue.report([report(1, Suspended(NOW + 9_000), tail=TAIL)], NOW)
    assert await queue.cancel([ONE], NOW) == [CancelResult(cancelled=Cancelled.DONE)]


async def test_a_placed_one_stays_with_its_worker(queue: JobQueue) -> None:
    await begun(queue)
    expected = CancelResult(cancelled=Cancelled.STOPPING, placed=placed(1), session=SESSION)
    assert await queue.cancel([ONE], NOW) == [expected]
    assert await state(queue) is JobState.CANCELLING

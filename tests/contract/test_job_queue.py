"""One suite for every job queue: what `ports.job_queue` promises.

Ends of placements and journals: `test_job_queue_reports.py`.
"""

import asyncio

import pytest

from mvm_ci.domain.ids import Digest, JobId, SessionId
from mvm_ci.domain.job import JobSpec, JobState, NewJob, Placed
from mvm_ci.domain.lane import begun
from mvm_ci.domain.options import DEFAULT_OPTIONS
from mvm_ci.domain.outcome import Released, Suspended
from mvm_ci.domain.payload import BlobRef
from mvm_ci.ports.job_queue import EVERY_JOB, Cancelled, CancelResult, JobFilter, JobQueue, Rescued
from tests.contract.jobs import (
    COMPLETED,
    FAILED,
    MODULE,
    NOW,
    OTHER_SESSION,
    SESSION,
    UPSTREAM,
    claim,
    new_job,
    placed,
    reach,
    report,
)


async def states(queue: JobQueue, *numbers: int) -> list[JobState | None]:
    found = await queue.get([JobId(number) for number in numbers])
    return [None if job is None else job.state for job in found]


# -------------------------------------------------------------------- submit


async def test_a_job_comes_back_as_it_was_submitted(queue: JobQueue) -> None:
    spec = JobSpec(
        module=MODULE,
        input=b"\0\xff",
        name="naïve",
        allow_hosts=("example.org", "*.example.com:8443"),
        max_attempts=3,
        timeout_ms=60_000,
        memory_bytes=1 << 20,
        secrets=("TOKEN", "_other.key"),
    )
    await queue.submit([NewJob(id=JobId(5), spec=spec, created_ms=NOW)])
    (job,) = await queue.get([JobId(5)])
    assert job is not None
    assert (job.id, job.spec, job.state, job.created_ms) == (5, spec, JobState.PENDING, NOW)
    assert (job.attempt, job.epoch, job.session, job.losses, job.journal_length) == (1, 0, None, 0, 0)
    assert (job.started_ms, job.finished_ms, job.wake_ms, job.result, job.failure) == (None,) * 5


async def test_a_large_input_stays_a_reference(queue: JobQueue) -> None:
    ref = BlobRef(Digest("ab" * 32), 1 << 40)
    await queue.submit([new_job(1, payload=ref)])
    (job,) = await queue.get([JobId(1)])
    assert job is not None
    assert job.spec.input == ref


async def test_a_job_with_a_session_is_inserted_claimed(queue: JobQueue) -> None:
    await queue.submit([new_job(1, session=SESSION)])
    (job,) = await queue.get([JobId(1)])
    assert job is not None
    assert (job.state, job.epoch, job.session) == (JobState.CLAIMED, 1, SESSION)
    assert await queue.held(SESSION) == [placed(1)]
    assert await claim(queue, SESSION, 9) == []


async def test_a_repeated_submit_leaves_the_job_as_it_is(queue: JobQueue) -> None:
    await queue.submit([new_job(1)])
    await claim(queue, SESSION, 1)
    await queue.submit([new_job(1, payload=b"other"), new_job(2)])
    first, second = await queue.get([JobId(1), JobId(2)])
    assert first is not None
    assert second is not None
    assert (first.state, first.spec.input, second.state) == (JobState.CLAIMED, b"in", JobState.PENDING)


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 200])
async def test_a_batch_of_any_size_is_inserted(queue: JobQueue, count: int) -> None:
    await queue.submit([new_job(number) for number in range(1, count + 1)])
    assert (await queue.counts()).get(JobState.PENDING, 0) == count


# -------------------------------------------------------------------- claim, start


async def test_claim_takes_the_oldest_ids_first_and_no_more_than_asked(queue: JobQueue) -> None:
    await queue.submit([new_job(number) for number in (30, 10, 20, 40)])
    first = await claim(queue, SESSION, 2)
    second = await claim(queue, OTHER_SESSION, 9)
    assert [job.id for job in first] == [10, 20]
    assert [job.id for job in second] == [30, 40]
    assert (first[0].epoch, first[0].attempt, first[0].journal_length) == (1, 1, 0)
    assert first[0].spec == new_job(10).spec
    assert await claim(queue, SESSION, 9) == []


async def test_each_claim_raises_the_epoch(queue: JobQueue) -> None:
    await queue.submit([new_job(1, session=SESSION)])
    for epoch in (2, 3):
        assert await queue.report([report(1, Released(), epoch=epoch - 1)], NOW) == [True]
        (job,) = await claim(queue, SESSION, 1)
        assert job.epoch == epoch


async def test_start_is_recorded_once(queue: JobQueue) -> None:
    await queue.submit([new_job(1, session=SESSION)])
    first, second = queue.start([placed(1)] * 2, NOW + 1), queue.start([placed(1)], NOW + 2)
    assert (await first, await second) == ([True, True], [True])
    assert await queue.start([placed(1)], NOW + 3) == [True]
    (job,) = await queue.get([JobId(1)])
    assert job is not None
    assert (job.state, job.started_ms) == (JobState.IN_PROGRESS, NOW + 1)


async def test_a_later_placement_of_the_attempt_keeps_the_time_of_its_first_start(queue: JobQueue) -> None:
    await queue.submit([new_job(1, session=SESSION)])
    await queue.start([placed(1)], NOW + 1)
    await queue.report([report(1, Released())], NOW + 2)
    await claim(queue, SESSION, 1)
    await queue.start([placed(1, 2)], NOW + 3)
    (job,) = await queue.get([JobId(1)])
    assert job is not None
    assert job.started_ms == NOW + 1


async def test_starts_of_placements_that_are_over_are_refused(queue: JobQueue) -> None:
    await queue.submit([new_job(number, session=SESSION) for number in (1, 2, 3)])
    await queue.report([report(1, COMPLETED), report(2, Released())], NOW)
    await claim(queue, OTHER_SESSION, 1)
    asked = [placed(1), placed(2), placed(2, 2), placed(3), placed(3, 2), placed(4)]
    assert await queue.start(asked, NOW) == [False, False, True, True, False, False]
    assert await states(queue, 1, 2, 3) == [
        JobState.COMPLETED,
        JobState.IN_PROGRESS,
        JobState.IN_PROGRESS,
    ]


@pytest.mark.parametrize("epoch", [0, 2])
async def test_a_start_in_another_epoch_changes_nothing(queue: JobQueue, epoch: int) -> None:
    await reach(queue, 1, JobState.CLAIMED)
    assert await queue.start([placed(1, epoch)], NOW) == [False]
    assert await states(queue, 1) == [JobState.CLAIMED]


async def test_the_start_of_a_job_that_is_being_cancelled_changes_nothing(queue: JobQueue) -> None:
    await reach(queue, 1, JobState.CANCELLING)
    assert await queue.start([placed(1)], NOW) == [True]
    assert await states(queue, 1) == [JobState.CANCELLING]


# -------------------------------------------------------------------- cancel


@pytest.mark.parametrize("state", [JobState.PENDING, JobState.SUSPENDED, JobState.SCHEDULED, JobState.PAUSED])
async def test_a_job_without_a_worker_is_cancelled_at_once(queue: JobQueue, state: JobState) -> None:
    await reach(queue, 1, state)
    assert await queue.cancel([JobId(1)], NOW + 5) == [CancelResult(cancelled=Cancelled.DONE)]
    (job,) = await queue.get([JobId(1)])
    assert job is not None
    assert (job.state, job.finished_ms, job.wake_ms) == (JobState.CANCELLED, NOW + 5, None)
    assert (await queue.wake(NOW * 2, 9)).jobs == 0
    assert await claim(queue, SESSION, 9) == []


@pytest.mark.parametrize("state", [JobState.CLAIMED, JobState.IN_PROGRESS])
async def test_a_placed_job_has_to_be_stopped_by_its_worker(queue: JobQueue, state: JobState) -> None:
    await reach(queue, 1, state)
    expected = CancelResult(cancelled=Cancelled.STOPPING, placed=placed(1), session=SESSION)
    assert await queue.cancel([JobId(1)], NOW) == [expected]
    (job,) = await queue.get([JobId(1)])
    assert job is not None
    assert (job.state, job.session, job.finished_ms) == (JobState.CANCELLING, SESSION, None)
    assert await queue.held(SESSION) == [placed(1)]


@pytest.mark.parametrize(
    "state", [JobState.CANCELLING, JobState.CANCELLED, JobState.COMPLETED, JobState.FAILED, JobState.DEAD]
)
async def test_a_job_that_ended_or_is_being_cancelled_stays_so(queue: JobQueue, state: JobState) -> None:
    await reach(queue, 1, state)
    before = await queue.get([JobId(1)])
    assert await queue.cancel([JobId(1)], NOW + 5) == [CancelResult(cancelled=Cancelled.ALREADY)]
    assert await queue.get([JobId(1)]) == before


async def test_a_job_that_is_not_there_cannot_be_cancelled(queue: JobQueue) -> None:
    assert await queue.cancel([JobId(1)], NOW) == [CancelResult(cancelled=Cancelled.UNKNOWN)]


# -------------------------------------------------------------------- rescue, held


async def test_a_lost_session_returns_its_jobs(queue: JobQueue) -> None:
    await reach(queue, 1, JobState.CLAIMED)
    await reach(queue, 2, JobState.IN_PROGRESS)
    await reach(queue, 3, JobState.CANCELLING)
    await reach(queue, 4, JobState.COMPLETED)
    await reach(queue, 5, JobState.SUSPENDED)
    await queue.submit([new_job(6, session=OTHER_SESSION)])
    rescued = await queue.rescue(SESSION, NOW + 7, max_losses=1)
    assert rescued == Rescued(
        placed=tuple(map(placed, (1, 2, 3))), pending=(JobId(1), JobId(2)), cancelled=(JobId(3),)
    )
    assert await queue.held(SESSION) == []
    assert await queue.held(OTHER_SESSION) == [placed(6)]
    one, two, three = await queue.get([JobId(1), JobId(2), JobId(3)])
    assert one is not None
    assert two is not None
    assert three is not None
    assert (one.losses, one.session, one.finished_ms) == (0, None, None)
    assert (two.losses, two.session, two.finished_ms) == (1, None, None)
    assert (three.losses, three.state, three.finished_ms) == (0, JobState.CANCELLED, NOW + 7)
    # A repetition finds nothing.
    assert await queue.rescue(SESSION, NOW + 8, max_losses=1) == Rescued()


async def test_a_job_that_is_lost_too_often_is_dead(queue: JobQueue) -> None:
    await queue.submit([new_job(1, session=SESSION)])
    for epoch in (1, 2):
        await queue.start([placed(1, epoch)], NOW)
        assert (await queue.rescue(SESSION, NOW, max_losses=2)).pending == (JobId(1),)
        await claim(queue, SESSION, 1)
    await queue.start([placed(1, 3)], NOW)
    assert (await queue.rescue(SESSION, NOW + 9, max_losses=2)).dead == (JobId(1),)
    (job,) = await queue.get([JobId(1)])
    assert job is not None
    assert (job.state, job.losses, job.finished_ms, job.session) == (JobState.DEAD, 3, NOW + 9, None)


async def test_a_session_that_comes_back_keeps_what_it_names(queue: JobQueue) -> None:
    await queue.submit([new_job(number, session=SESSION) for number in (1, 2, 3)])
    # Its epoch of job 2 is not the present one: that is not the same placement.
    rescued = await queue.rescue(SESSION, NOW, 1, keep=[placed(1), placed(2, 9), placed(8)])
    assert rescued.pending == (2, 3)
    assert await queue.held(SESSION) == [placed(1)]


async def test_after_a_rescue_the_old_placement_is_refused(queue: JobQueue) -> None:
    await reach(queue, 1, JobState.IN_PROGRESS)
    await queue.rescue(SESSION, NOW, 1)
    assert await queue.start([placed(1)], NOW) == [False]
    assert await queue.report([report(1, COMPLETED)], NOW) == [False]
    assert await queue.report([report(1, Released())], NOW) == [False]
    (again,) = await claim(queue, OTHER_SESSION, 1)
    assert again.epoch == 2
    assert await queue.report([report(1, COMPLETED)], NOW) == [False]
    assert await queue.report([report(1, COMPLETED, epoch=2)], NOW) == [True]


async def test_held_lists_placements_by_job(queue: JobQueue) -> None:
    await queue.submit([new_job(number) for number in (3, 1, 2)])
    await claim(queue, SESSION, 3)
    await queue.start([placed(2)], NOW)
    await queue.cancel([JobId(3)], NOW)
    assert await queue.held(SESSION) == [Placed(JobId(number), 1) for number in (1, 2, 3)]
    assert await queue.held(SessionId(999)) == []


# -------------------------------------------------------------------- wake


async def test_jobs_are_woken_when_their_time_has_come(queue: JobQueue) -> None:
    await queue.submit([new_job(number, session=SESSION) for number in (1, 2, 3)])
    await queue.report([report(1, Suspended(NOW + 30)), report(3, Suspended(NOW + 10))], NOW)
    await queue.report([report(2, FAILED, retry_ms=NOW + 20)], NOW)
    assert await queue.next_wake() == NOW + 10
    assert (await queue.wake(NOW + 9, 9)).jobs == 0
    assert (await queue.wake(NOW + 20, 1)).jobs == 1
    assert await states(queue, 1, 2, 3) == [JobState.SUSPENDED, JobState.SCHEDULED, JobState.PENDING]
    assert await queue.next_wake() == NOW + 20
    assert (await queue.wake(NOW + 20, 9)).jobs == 1
    assert (await queue.wake(NOW + 20, 9)).jobs == 0
    assert await queue.next_wake() == NOW + 30
    (second,) = await queue.get([JobId(2)])
    assert second is not None
    assert second.wake_ms is None
    assert (await queue.wake(NOW + 40, 9)).jobs == 1
    assert await queue.next_wake() is None
    assert sorted(job.id for job in await claim(queue, SESSION, 9)) == [1, 2, 3]


# -------------------------------------------------------------------- get, list, counts


async def test_get_answers_in_the_order_of_the_question(queue: JobQueue) -> None:
    await queue.submit([new_job(1), new_job(2)])
    found = await queue.get([JobId(2), JobId(9), JobId(1), JobId(2)])
    assert [job and job.id for job in found] == [2, None, 1, 2]
    assert await queue.get([]) == []


async def test_list_is_newest_first_in_pages(queue: JobQueue) -> None:
    await queue.submit([new_job(number) for number in range(1, 8)])
    page = await queue.list_jobs(EVERY_JOB, 3)
    assert [job.id for job in page] == [7, 6, 5]
    assert [job.id for job in await queue.list_jobs(JobFilter(before=page[-1].id), 3)] == [4, 3, 2]
    assert [job.id for job in await queue.list_jobs(JobFilter(after=JobId(3), before=JobId(6)))] == [5, 4, 3]
    assert page[0].spec == new_job(7).spec


@pytest.mark.parametrize("namespace", ["default", None])
async def test_list_and_counts_know_every_state(queue: JobQueue, namespace: str | None) -> None:
    async def listed(
        *states: JobState, limit: int = 100, before: JobId | None = None, after: JobId | None = None
    ) -> list[int]:
        which = JobFilter(namespace=namespace, states=states, before=before, after=after)
        return [job.id for job in await queue.list_jobs(which, limit)]

    for number, state in enumerate(JobState, start=1):
        # Each on its own: to bury one must not lose another.
        if state is JobState.DEAD:
            await queue.submit([new_job(number, session=OTHER_SESSION)])
            await queue.start([placed(number)], NOW)
            await queue.rescue(OTHER_SESSION, NOW, 0)
        else:
            await reach(queue, number, state)
    await queue.cancel([UPSTREAM], NOW)  # what the blocked one waits for
    for number, state in enumerate(JobState, start=1):
        assert [job for job in await listed(state) if job != UPSTREAM] == [number]
        assert await listed(state, before=JobId(number)) == []
        assert await listed(state, after=JobId(number + 1), before=UPSTREAM) == []
    assert await queue.counts(namespace) == {**dict.fromkeys(JobState, 1), JobState.CANCELLED: 2}
    some = (JobState.DEAD, JobState.PENDING, JobState.IN_PROGRESS, JobState.SUSPENDED)
    assert await listed(*some) == [11, 4, 3, 1]
    assert await listed(*some, limit=2) == [11, 4]
    assert await listed(*JobState, limit=3) == [UPSTREAM, 13, 12]
    assert await queue.counts("other") == {}


async def test_counts_of_an_empty_queue(queue: JobQueue) -> None:
    assert {state: count for state, count in (await queue.counts()).items() if count} == {}


# -------------------------------------------------------------------- order, cancellation


async def test_calls_take_effect_in_their_order_though_nobody_waits(queue: JobQueue) -> None:
    submitted = queue.submit([new_job(1, session=SESSION)])
    started = queue.start([placed(1)], NOW)
    released = queue.report([report(1, Released())], NOW)
    claimed = queue.claim(OTHER_SESSION, begun(DEFAULT_OPTIONS.lane.id), 1)
    completed = queue.report([report(1, COMPLETED, epoch=2)], NOW)
    assert await completed == [True]
    await submitted
    assert (await started, await released) == ([True], [True])
    assert [job.epoch for job in await claimed] == [2]


async def test_cancelling_a_waiting_task_does_not_undo_the_call(queue: JobQueue) -> None:
    async def wait() -> None:
        await queue.submit([new_job(1)])

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)  # it has called
    task.cancel()
    await asyncio.wait([task])
    await queue.submit([])
    assert await states(queue, 1) == [JobState.PENDING]


async def test_many_callers_at_once_all_get_their_own_answers(queue: JobQueue) -> None:
    async def life(number: int) -> bool:
        await queue.submit([new_job(number, session=SESSION)])
        (first,) = await queue.report([report(number, COMPLETED)], NOW)
        (second,) = await queue.report([report(number + 1000, COMPLETED)], NOW)
        return first and not second

    assert await asyncio.gather(*(life(number) for number in range(1, 101))) == [True] * 100
    assert await queue.counts() == {JobState.COMPLETED: 100}

"""By when jobs must have ended: a part of the suite for every job queue."""

import pytest
from msgspec.structs import replace

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import FINAL, PLACED, Job, JobState
from mvm_ci.domain.options import DEFAULT_OPTIONS, JobOptions
from mvm_ci.domain.outcome import OVERDUE, Continued, Outcome, Released, Suspended
from mvm_ci.ports.job_queue import JobQueue
from mvm_ci.ports.mail import MailStore
from tests.contract.jobs import COMPLETED, FAILED, NOW, PARKED, SESSION, claim, new_job, placed, reach, report
from tests.contract.letters import child_of, suspended, the, waiting


def by(deadline_ms: int, options: JobOptions = DEFAULT_OPTIONS) -> JobOptions:
    return replace(options, deadline_ms=deadline_ms)


async def the_one(queue: JobQueue) -> Job:
    return await the(queue, 1)


@pytest.mark.parametrize("state", JobState)
async def test_a_job_without_one_has_all_the_time_there_is(queue: JobQueue, state: JobState) -> None:
    await reach(queue, 1, state)
    before = await the_one(queue)
    assert await queue.overdue(1 << 52, 9) == []
    assert (await the_one(queue), before.options.deadline_ms) == (before, None)
    assert (await queue.next_deadline(), await queue.deadlines()) == (None, {})


WAYS: dict[str, Outcome] = {
    "suspended": Suspended(NOW + 1_000),
    "for mail": Suspended(NOW + 1_000, ("message:",)),
    "released": Released(),
    "continued": Continued(b"x"),
    "parked": PARKED,
    "retried": FAILED,
}


@pytest.mark.parametrize("way", WAYS)
async def test_one_that_no_worker_has_fails_when_its_time_has_passed(queue: JobQueue, way: str) -> None:
    await queue.submit([new_job(1, session=SESSION, options=by(NOW + 5))])
    assert await queue.overdue(NOW + 5, 9) == [], "its worker fails it"
    assert await queue.next_deadline() is None
    retry_ms = NOW + 1_000 if way == "retried" else None
    assert await queue.report([report(1, WAYS[way], retry_ms=retry_ms)], NOW) == [True]
    assert await queue.next_deadline() == NOW + 5
    assert await queue.overdue(NOW + 4, 9) == []
    assert await queue.overdue(NOW + 5, 9) == [1]
    job = await the_one(queue)
    assert (job.state, job.failure, job.finished_ms, job.wake_ms) == (JobState.FAILED, OVERDUE, NOW + 5, None)
    assert await queue.overdue(NOW + 5, 9) == []
    assert (await queue.next_deadline(), await queue.deadlines(), await queue.next_wake()) == (None, {}, None)
    assert await queue.report([report(1, COMPLETED)], NOW) == [False]


@pytest.mark.parametrize(
    "options", [DEFAULT_OPTIONS, replace(DEFAULT_OPTIONS, run_at_ms=NOW + 50, expires_ms=NOW + 60)]
)
async def test_one_that_was_never_placed_fails_too(queue: JobQueue, options: JobOptions) -> None:
    await queue.submit([new_job(1, options=by(NOW + 5, options))])
    assert await queue.overdue(NOW + 6, 9) == [1]
    job = await the_one(queue)
    assert (job.state, job.failure, job.expires_ms) == (JobState.FAILED, OVERDUE, None)
    assert await queue.next_expiry() is None


@pytest.mark.parametrize("state", sorted(PLACED | FINAL))
async def test_one_that_a_worker_has_or_that_has_ended_stays_as_it_is(
    queue: JobQueue, state: JobState
) -> None:
    await queue.submit([new_job(1, session=SESSION, options=by(NOW + 5))])
    ends: dict[JobState, Outcome] = {JobState.COMPLETED: COMPLETED, JobState.FAILED: FAILED}
    if state in ends:
        await queue.report([report(1, ends[state])], NOW)
    elif state in {JobState.CANCELLING, JobState.CANCELLED}:
        await queue.cancel([JobId(1)], NOW)
    elif state is JobState.PAUSING:
        await queue.pause([JobId(1)])
    elif state in {JobState.IN_PROGRESS, JobState.DEAD}:
        await queue.start([placed(1)], NOW)
    if state in {JobState.CANCELLED, JobState.DEAD}:
        await queue.rescue(SESSION, NOW, 0)
    before = await the_one(queue)
    assert before.state is state
    assert await queue.overdue(NOW + 99, 9) == []
    assert await the_one(queue) == before
    assert await queue.deadlines() == ({1: NOW + 5} if state in PLACED else {})


async def test_the_earliest_go_first_and_as_many_as_asked(queue: JobQueue) -> None:
    times = {1: NOW + 3, 2: NOW + 1, 3: NOW + 2, 4: NOW + 50}
    await queue.submit([new_job(number, options=by(at)) for number, at in times.items()])
    assert await queue.deadlines() == times
    assert await queue.overdue(NOW + 9, 2) == [2, 3]
    assert await queue.overdue(NOW + 9, 2) == [1]
    assert await queue.next_deadline() == NOW + 50


async def test_a_claim_says_how_long_there_is(queue: JobQueue) -> None:
    await queue.submit([new_job(1, options=by(NOW + 5)), new_job(2)])
    assert {job.id: job.deadline_ms for job in await claim(queue, SESSION, 9)} == {1: NOW + 5, 2: None}


async def test_a_job_that_a_person_tries_again_has_none(queue: JobQueue) -> None:
    await queue.submit([new_job(1, options=by(NOW + 5))])
    await queue.overdue(NOW + 5, 9)
    await queue.revive([JobId(1)])
    job = await the_one(queue)
    assert (job.state, job.options.deadline_ms, job.failure) == (JobState.PENDING, None, None)
    assert await queue.overdue(NOW + 99, 9) == []


async def test_the_parent_of_an_overdue_child_hears_of_it(queue: JobQueue, mail: MailStore) -> None:
    await suspended(queue, 1, "child:2")
    await queue.submit([new_job(2, options=by(NOW + 5, child_of(1)))])
    assert await queue.overdue(NOW + 5, 9) == [2]
    assert (await the_one(queue)).state is JobState.PENDING
    assert [piece.failure for piece in await waiting(mail, 1, "child:2")] == [OVERDUE]

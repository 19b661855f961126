"""One suite for every job queue: lanes, dependencies, times, keys, and what people do to jobs."""

import pytest
from msgspec.structs import replace

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import FINAL, Job, JobState
from mvm_ci.domain.lane import Concurrency, begun, lane
from mvm_ci.domain.options import DEFAULT_OPTIONS, Dependency, Idempotency, JobOptions, Needs
from mvm_ci.domain.outcome import EXPIRED, SUPERSEDED, UNMET, Released, Suspended
from mvm_ci.domain.retry import Backoff
from mvm_ci.ports.job_queue import (
    Cancelled,
    Change,
    Changed,
    Holder,
    JobFilter,
    JobQueue,
    Keyed,
    Settled,
    Woken,
)
from tests.contract.jobs import (
    COMPLETED,
    FAILED,
    NOW,
    OTHER_SESSION,
    SESSION,
    claim,
    new_job,
    placed,
    reach,
    report,
)

LABELS = (("gpu", "a100"), ("os", ""))
ONE, TWO, THREE, FOUR = (JobId(number) for number in range(1, 5))
DONE, REFUSED, ALREADY, UNKNOWN = (
    Changed(change=change) for change in (Change.DONE, Change.REFUSED, Change.ALREADY, Change.UNKNOWN)
)


async def the(queue: JobQueue, job: JobId) -> Job:
    (found,) = await queue.get([job])
    assert found is not None
    return found


async def state(queue: JobQueue, job: JobId) -> JobState:
    return (await the(queue, job)).state


def with_options(**options: object) -> JobOptions:
    return replace(DEFAULT_OPTIONS, **options)


# -------------------------------------------------------------------- lanes


async def test_options_come_back_as_they_were_submitted(queue: JobQueue) -> None:
    options = JobOptions(
        lane=lane(
            "team", "nightly", 7, (("gpu", "a100"), ("os", "")), "tenant", Concurrency(key="k", limit=3)
        ),
        run_at_ms=NOW + 5,
        expires_ms=NOW + 9,
        backoff=Backoff(base_ms=7, factor=1.5),
        tags=("red", "blue"),
        metadata=(("a", "1"), ("b", "zwei")),
        idempotency=Idempotency("once", b"r" * 16),
    )
    await queue.submit([new_job(1, options=options)])
    job = await the(queue, ONE)
    assert job.options == replace(options, run_at_ms=None, expires_ms=None)
    assert (job.state, job.wake_ms, job.expires_ms) == (JobState.SCHEDULED, NOW + 5, NOW + 9)


async def test_a_claim_takes_from_its_lane_only(queue: JobQueue) -> None:
    high = lane(priority=9)
    await queue.submit([new_job(1), new_job(2, options=JobOptions(lane=high)), new_job(3)])
    assert await queue.ready_lanes() == {high.id: high, lane().id: lane()}
    assert [job.id for job in await queue.claim(SESSION, high.id, 9)] == [TWO]
    assert await queue.ready_lanes() == {lane().id: lane()}
    assert await queue.ahead(THREE, 9) == 1
    assert [job.id for job in await queue.claim(SESSION, lane().id, 9)] == [ONE, THREE]
    assert await queue.ready_lanes() == {}


async def test_a_job_whose_attempt_has_begun_goes_on_in_the_odd_lane(queue: JobQueue) -> None:
    await reach(queue, 1, JobState.IN_PROGRESS)
    await queue.report([report(1, Released())], NOW)
    assert await queue.ready_lanes() == {begun(lane().id): lane()}
    assert await queue.claim(SESSION, lane().id, 9) == []
    assert [job.id for job in await queue.claim(SESSION, begun(lane().id), 9)] == [ONE]


async def test_a_new_attempt_begins_in_the_even_lane(queue: JobQueue) -> None:
    await reach(queue, 1, JobState.SCHEDULED)
    assert (await queue.wake(NOW + 1000, 9)).jobs == 1
    assert await queue.ready_lanes() == {lane().id: lane()}


async def test_holders_are_the_placed_jobs_and_those_of_a_key(queue: JobQueue) -> None:
    keyed = lane(concurrency=Concurrency(key="k"))
    options = JobOptions(lane=keyed)
    await queue.submit([new_job(1, session=SESSION), new_job(2, options=options), new_job(3)])
    await queue.submit([new_job(4, options=options, session=SESSION)])
    await queue.report([report(4, Suspended(NOW + 50))], NOW)
    found = {holder.job: holder for holder in await queue.holders()}
    assert found == {
        ONE: Holder(job=ONE, lane=lane(), begun=True, placed=placed(1)),
        TWO: Holder(job=TWO, lane=keyed, begun=False, placed=None),
        FOUR: Holder(job=FOUR, lane=keyed, begun=True, placed=None),
    }
    assert await queue.with_key("default", "k") == [FOUR, TWO]
    assert await queue.with_key("other", "k") == []
    await queue.cancel([FOUR], NOW)
    assert await queue.with_key("default", "k") == [TWO]


# -------------------------------------------------------------------- times


async def test_a_job_that_no_worker_takes_in_time_fails(queue: JobQueue) -> None:
    await queue.submit([new_job(number, options=with_options(expires_ms=NOW + number)) for number in (1, 2)])
    later = with_options(run_at_ms=NOW + 50, expires_ms=NOW + 3)
    await queue.submit([new_job(3, options=later), new_job(4)])
    assert await queue.next_expiry() == NOW + 1
    assert await queue.expire(NOW, 9) == []
    assert await queue.expire(NOW + 9, 2) == [ONE, TWO]
    assert await queue.expire(NOW + 9, 9) == [THREE]
    assert await queue.next_expiry() is None
    for job in (ONE, THREE):
        failed = await the(queue, job)
        assert (failed.state, failed.failure, failed.finished_ms) == (JobState.FAILED, EXPIRED, NOW + 9)
    assert await state(queue, FOUR) is JobState.PENDING


async def test_a_job_that_a_worker_has_taken_does_not_expire_any_more(queue: JobQueue) -> None:
    await queue.submit([new_job(1, options=with_options(expires_ms=NOW + 1))])
    await claim(queue, SESSION, 1)
    await queue.report([report(1, Released())], NOW)
    assert await queue.expire(NOW + 9, 9) == []
    assert (await the(queue, ONE)).expires_ms is None


# -------------------------------------------------------------------- dependencies


async def waiting_for(queue: JobQueue, needs: Needs, **options: object) -> None:
    await queue.submit([new_job(1, session=SESSION)])
    await queue.submit([new_job(2, options=with_options(after=(Dependency(ONE, needs),), **options))])
    assert await state(queue, TWO) is JobState.BLOCKED
    assert await queue.upstreams() == [ONE]
    assert await queue.dependencies(TWO) == [Dependency(ONE, needs)]


@pytest.mark.parametrize("needs", Needs)
async def test_a_job_waits_until_the_other_has_ended(queue: JobQueue, needs: Needs) -> None:
    await waiting_for(queue, needs)
    assert await queue.settle([ONE], NOW) == Settled()
    await queue.report([report(1, COMPLETED)], NOW)
    settled = await queue.settle([ONE], NOW)
    assert settled == Settled(lanes={lane().id: lane()}, pending=(TWO,))
    assert await queue.settle([ONE], NOW) == Settled()
    assert await state(queue, TWO) is JobState.PENDING


async def test_what_needs_a_success_is_cancelled_by_a_failure_and_so_on(queue: JobQueue) -> None:
    await waiting_for(queue, Needs.SUCCESS)
    await queue.submit([new_job(3, options=with_options(after=(Dependency(TWO),)))])
    await queue.submit([new_job(4, options=with_options(after=(Dependency(TWO, Needs.END),)))])
    await queue.report([report(1, FAILED)], NOW)
    settled = await queue.settle([ONE], NOW + 3)
    assert settled == Settled(lanes={lane().id: lane()}, pending=(FOUR,), cancelled=(TWO, THREE))
    job = await the(queue, THREE)
    assert (job.state, job.failure, job.finished_ms) == (JobState.CANCELLED, UNMET, NOW + 3)


async def test_what_waits_for_an_end_only_goes_on_after_a_failure(queue: JobQueue) -> None:
    await waiting_for(queue, Needs.END, run_at_ms=NOW + 50)
    await queue.report([report(1, FAILED)], NOW)
    assert await queue.settle([ONE], NOW) == Settled(scheduled=(TWO,))
    assert (await queue.wake(NOW + 50, 9)).jobs == 1


@pytest.mark.parametrize("needs", Needs)
async def test_what_waits_for_a_job_that_is_not_there_is_cancelled(queue: JobQueue, needs: Needs) -> None:
    await queue.submit([new_job(1, session=SESSION)])
    await queue.report([report(1, COMPLETED)], NOW)
    after = (Dependency(ONE, needs), Dependency(THREE, needs))
    await queue.submit([new_job(2, options=with_options(after=after))])
    assert await queue.settle([ONE, THREE], NOW) == Settled(cancelled=(TWO,))
    assert (await the(queue, TWO)).failure == UNMET


async def test_a_paused_job_that_waits_is_not_forgotten(queue: JobQueue) -> None:
    await waiting_for(queue, Needs.SUCCESS)
    assert await queue.pause([TWO]) == [DONE]
    await queue.report([report(1, FAILED)], NOW)
    assert await queue.settle([ONE], NOW) == Settled()
    assert await queue.resume([TWO], NOW) == [DONE]
    assert await queue.settle([ONE], NOW) == Settled(cancelled=(TWO,))


async def test_a_wake_tells_in_which_lanes_jobs_are_ready_now(queue: JobQueue) -> None:
    slow = lane(queue="slow")
    later = [new_job(n, options=JobOptions(lane=slow, run_at_ms=NOW + n)) for n in (1, 2, 3)]
    await queue.submit([new_job(4), new_job(5, session=SESSION), *later])
    await queue.report([report(5, Suspended(NOW + 2))], NOW)
    woken = await queue.wake(NOW + 2, 9)
    assert woken == Woken(jobs=3, lanes={slow.id: slow, begun(lane().id): lane()})
    assert await queue.wake(NOW + 2, 9) == Woken()


# -------------------------------------------------------------------- keys


async def test_an_idempotency_key_finds_its_job(queue: JobQueue) -> None:
    once = Idempotency("once", b"1" * 16)
    elsewhere = JobOptions(lane=lane("other"), idempotency=once)
    await queue.submit([new_job(1, options=with_options(idempotency=once)), new_job(2, options=elsewhere)])
    assert await queue.keyed("default", ["once", "never"]) == {"once": Keyed(job=ONE, request=b"1" * 16)}
    assert await queue.keyed("other", ["once"]) == {"once": Keyed(job=TWO, request=b"1" * 16)}
    await queue.cancel([ONE], NOW)
    await queue.delete([ONE])
    assert await queue.keyed("default", ["once"]) == {}


async def test_jobs_are_found_by_their_tags_and_metadata(queue: JobQueue) -> None:
    tagged = with_options(tags=("red", "blue"), metadata=(("branch", "main"),))
    await queue.submit(
        [new_job(1, options=tagged), new_job(2, options=with_options(tags=("red",))), new_job(3)]
    )

    async def found(*terms: str, **which: object) -> list[JobId]:
        selected = replace(JobFilter(namespace="default", terms=terms), **which)
        return [job.id for job in await queue.list_jobs(selected)]

    assert await found("red") == [TWO, ONE]
    assert await found("red", before=TWO) == [ONE]
    assert await found("blue", "red") == [ONE]
    assert await found("branch=main", states=(JobState.PENDING,)) == [ONE]
    assert await found("branch=main", states=(JobState.PAUSED,)) == []
    assert await found("red", name="job 2") == [TWO]
    assert await found("main") == []
    assert await found("red", namespace="other") == []


# -------------------------------------------------------------------- pause, resume, revive, delete


WAITING = [JobState.PENDING, JobState.SUSPENDED, JobState.SCHEDULED, JobState.BLOCKED]


@pytest.mark.parametrize("waits", WAITING)
async def test_a_job_at_no_worker_is_paused_at_once_and_goes_on_where_it_was(
    queue: JobQueue, waits: JobState
) -> None:
    await reach(queue, 1, waits)
    before = await the(queue, ONE)
    assert await queue.pause([ONE]) == [DONE]
    assert await state(queue, ONE) is JobState.PAUSED
    assert await queue.pause([ONE]) == [ALREADY]
    assert (await queue.wake(NOW * 2, 9)).jobs == 0
    assert await queue.expire(NOW * 2, 9) == []
    assert await queue.ready_lanes() == ({lane().id: lane()} if waits is JobState.BLOCKED else {})
    assert await queue.resume([ONE], NOW) == [DONE]
    after = await the(queue, ONE)
    assert after.wake_ms == before.wake_ms
    assert (after.state is waits) == (waits is not JobState.SUSPENDED)
    assert await queue.resume([ONE], NOW) == [ALREADY]


async def test_a_time_that_passed_during_the_pause_is_past(queue: JobQueue) -> None:
    await reach(queue, 1, JobState.SUSPENDED)
    await queue.pause([ONE])
    assert await queue.resume([ONE], NOW + 1000) == [DONE]
    assert await state(queue, ONE) is JobState.PENDING


@pytest.mark.parametrize("runs", [JobState.CLAIMED, JobState.IN_PROGRESS])
async def test_a_job_at_a_worker_is_paused_when_that_has_stopped_it(queue: JobQueue, runs: JobState) -> None:
    await reach(queue, 1, runs)
    stopping = Changed(change=Change.STOPPING, placed=placed(1), session=SESSION)
    assert await queue.pause([ONE]) == [stopping]
    assert await state(queue, ONE) is JobState.PAUSING
    assert await queue.held(SESSION) == [placed(1)]
    assert await queue.resume([ONE], NOW) == [REFUSED]


@pytest.mark.parametrize("ended", sorted(FINAL))
async def test_what_has_ended_is_not_paused_or_resumed(queue: JobQueue, ended: JobState) -> None:
    await reach(queue, 1, ended)
    assert await queue.pause([ONE]) == [REFUSED]
    assert await queue.resume([ONE], NOW) == [REFUSED]


@pytest.mark.parametrize("ended", [JobState.FAILED, JobState.CANCELLED, JobState.DEAD])
async def test_an_ended_job_tries_again(queue: JobQueue, ended: JobState) -> None:
    await reach(queue, 1, ended)
    assert await queue.revive([ONE, TWO]) == [DONE, UNKNOWN]
    job = await the(queue, ONE)
    assert job.state is JobState.PENDING
    assert (job.losses, job.failure, job.finished_ms) == (0, None, None)
    assert job.attempt == (1 if ended is JobState.DEAD else 2)
    assert await queue.revive([ONE]) == [ALREADY]
    assert [one.epoch for one in await claim(queue, OTHER_SESSION, 9)] == [2]


async def test_a_completed_job_is_not_revived(queue: JobQueue) -> None:
    await reach(queue, 1, JobState.COMPLETED)
    assert await queue.revive([ONE]) == [REFUSED]


@pytest.mark.parametrize("present", JobState)
async def test_only_what_has_ended_can_be_deleted(queue: JobQueue, present: JobState) -> None:
    await reach(queue, 1, present)
    deleted = await queue.delete([ONE, THREE])
    assert deleted == [DONE if present in FINAL else REFUSED, UNKNOWN]
    assert (await queue.get([ONE]) == [None]) == (present in FINAL)
    assert await queue.journal(ONE, 1) == []


async def test_a_job_submitted_again_keeps_its_first_tags_and_dependencies(queue: JobQueue) -> None:
    first = with_options(tags=("blue",))
    again = with_options(tags=("red",), after=(Dependency(ONE, Needs.END),))
    await queue.submit([new_job(ONE), new_job(TWO, options=first)])
    await queue.submit([new_job(TWO, options=again)])
    assert (await the(queue, TWO)).options.tags == ("blue",)
    assert await queue.list_jobs(JobFilter(namespace="default", terms=("red",))) == []
    assert await queue.dependencies(TWO) == []
    await queue.cancel([ONE], NOW)
    assert await queue.delete([ONE]) == [DONE]


async def test_what_another_job_waits_for_is_not_deleted(queue: JobQueue) -> None:
    await waiting_for(queue, Needs.END)
    await queue.report([report(1, COMPLETED)], NOW)
    assert await queue.delete([ONE]) == [REFUSED]
    await queue.cancel([TWO], NOW)
    assert await queue.delete([ONE, TWO]) == [DONE, DONE]


async def test_a_superseded_job_says_so(queue: JobQueue) -> None:
    await queue.submit([new_job(1)])
    (result,) = await queue.supersede([ONE], NOW)
    assert result.cancelled is Cancelled.DONE
    assert (await the(queue, ONE)).failure == SUPERSEDED


async def test_waiting_counts_what_is_at_no_worker(queue: JobQueue) -> None:
    for number, present in enumerate(JobState, start=1):
        if present not in {JobState.DEAD, JobState.BLOCKED}:
            await reach(queue, number, present)
    assert await queue.waiting("default") == 4
    assert await queue.waiting("other") == 0


async def test_the_oldest_ready_job_is_the_first_of_all_lanes(queue: JobQueue) -> None:
    assert await queue.oldest_ready() is None
    await reach(queue, 2, JobState.SUSPENDED)
    await queue.submit([new_job(9), new_job(7), new_job(4, session=SESSION)])
    first = replace(DEFAULT_OPTIONS, lane=replace(DEFAULT_OPTIONS.lane, priority=1))
    await queue.submit([new_job(6, options=first)])
    assert await queue.oldest_ready() == 6

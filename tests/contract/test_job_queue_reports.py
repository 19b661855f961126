"""Ends of placements and their journals: the second half of the suite for every job queue."""

import pytest

from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.job import FINAL, PLACED, TRANSITIONS, Event, Job, JobState
from mvm_ci.domain.outcome import Completed, Outcome, Released, Stopped, Suspended
from mvm_ci.domain.payload import BlobRef
from mvm_ci.ports.job_queue import Append, JobQueue, Segment
from tests.contract.jobs import (
    COMPLETED,
    FAILED,
    FAILURE,
    NOW,
    OTHER_SESSION,
    PARKED,
    SESSION,
    claim,
    new_job,
    placed,
    reach,
    report,
)

TAIL = Segment(0, 2, b"two entries")
ENDS: dict[Event, tuple[Outcome, int | None]] = {
    Event.COMPLETE: (COMPLETED, None),
    Event.FAIL: (FAILED, None),
    Event.RETRY: (FAILED, NOW + 50),
    Event.SUSPEND: (Suspended(NOW + 50), None),
    Event.RELEASE: (Released(), None),
    Event.PARK: (PARKED, None),
    Event.STOPPED: (Stopped(), None),
}


async def the_job(queue: JobQueue, number: int = 1) -> Job:
    (job,) = await queue.get([JobId(number)])
    assert job is not None
    return job


# -------------------------------------------------------------------- the transition table


@pytest.mark.parametrize("tail", [None, TAIL], ids=["no tail", "tail"])
@pytest.mark.parametrize("event", ENDS)
@pytest.mark.parametrize("state", JobState)
async def test_every_end_in_every_state_is_as_the_table_says(
    queue: JobQueue, state: JobState, event: Event, tail: Segment | None
) -> None:
    await reach(queue, 1, state)
    before = await the_job(queue)
    outcome, retry_ms = ENDS[event]
    if state is JobState.SCHEDULED:
        # The report that led here was about attempt 1; make it another one than what is tried now.
        retry_ms = retry_ms and retry_ms + 1
    elif state is JobState.SUSPENDED and event is Event.SUSPEND:
        outcome = Suspended(NOW + 51)
    elif state is JobState.COMPLETED and event is Event.COMPLETE:
        outcome = Completed(b"another result")
    elif state in {JobState.PAUSED, JobState.FAILED, JobState.CANCELLED}:
        tail = tail or TAIL  # otherwise it might be the exact repetition of what led here
    answer = await queue.report([report(1, outcome, tail=tail, retry_ms=retry_ms)], NOW + 9)
    after = await the_job(queue)
    expected = TRANSITIONS[state].get(event)
    if state not in PLACED or expected is None:
        assert answer == [False]
        assert after == before
        assert await queue.journal(JobId(1), before.attempt) == []
        return
    assert answer == [True]
    assert after.state is expected
    assert after.session is None
    assert after.finished_ms == (NOW + 9 if expected in FINAL else None)
    tried_again = event is Event.RETRY and expected is not JobState.CANCELLED
    waits = {JobState.SUSPENDED, JobState.SCHEDULED}
    if state is JobState.PAUSING and event in {Event.RETRY, Event.SUSPEND}:
        waits.add(JobState.PAUSED)  # it keeps its time
    assert after.wake_ms == (NOW + 50 if expected in waits else None)
    assert after.result == (b'"done"' if expected is JobState.COMPLETED else None)
    fails = event in {Event.FAIL, Event.RETRY, Event.PARK} and expected is not JobState.CANCELLED
    assert after.failure == (FAILURE if fails else None)
    assert after.attempt == (2 if tried_again else 1)
    assert after.journal_length == (2 if tail and not tried_again else 0)
    assert await queue.journal(JobId(1), 1) == ([tail] if tail else [])


async def test_an_end_that_is_over_for_an_unknown_job_is_refused(queue: JobQueue) -> None:
    assert await queue.report([report(1, COMPLETED)], NOW) == [False]


@pytest.mark.parametrize("event", ENDS)
async def test_another_epoch_is_refused(queue: JobQueue, event: Event) -> None:
    await reach(queue, 1, JobState.CANCELLING if event is Event.STOPPED else JobState.IN_PROGRESS)
    before = await the_job(queue)
    outcome, retry_ms = ENDS[event]
    for epoch in (0, 2):
        wrong = report(1, outcome, epoch=epoch, tail=TAIL, retry_ms=retry_ms)
        assert await queue.report([wrong], NOW) == [False]
    assert await the_job(queue) == before
    assert await queue.journal(JobId(1), 1) == []


# -------------------------------------------------------------------- repetitions


@pytest.mark.parametrize("tail", [None, TAIL], ids=["no tail", "tail"])
@pytest.mark.parametrize("event", ENDS)
async def test_an_exact_repetition_is_answered_as_the_first_was(
    queue: JobQueue, event: Event, tail: Segment | None
) -> None:
    await reach(queue, 1, JobState.CANCELLING if event is Event.STOPPED else JobState.IN_PROGRESS)
    outcome, retry_ms = ENDS[event]
    first = report(1, outcome, tail=tail, retry_ms=retry_ms)
    assert await queue.report([first], NOW) == [True]
    after = await the_job(queue)
    assert await queue.report([first], NOW + 5) == [True]
    other = report(1, outcome, tail=None if tail else TAIL, retry_ms=retry_ms)
    assert await queue.report([other], NOW + 5) == [False]
    assert await the_job(queue) == after
    assert await queue.journal(JobId(1), 1) == ([tail] if tail else [])


@pytest.mark.parametrize("event", [Event.SUSPEND, Event.RETRY, Event.RELEASE])
async def test_a_repetition_is_known_until_the_job_is_placed_again(queue: JobQueue, event: Event) -> None:
    await reach(queue, 1, JobState.IN_PROGRESS)
    outcome, retry_ms = ENDS[event]
    first = report(1, outcome, tail=TAIL, retry_ms=retry_ms)
    assert await queue.report([first], NOW) == [True]
    await queue.wake(NOW + 100, 1)
    woken = await the_job(queue)
    assert woken.state is JobState.PENDING
    assert await queue.report([first], NOW + 100) == [True]
    assert await the_job(queue) == woken
    await claim(queue, OTHER_SESSION, 1)
    assert await queue.report([first], NOW + 100) == [False]
    assert await queue.journal(JobId(1), 1) == [TAIL]
    assert await queue.journal(JobId(1), 2) == []


async def test_what_an_earlier_placement_reported_is_no_repetition_for_a_later_one(queue: JobQueue) -> None:
    await reach(queue, 1, JobState.IN_PROGRESS)
    assert await queue.report([report(1, Released())], NOW) == [True]
    await claim(queue, OTHER_SESSION, 1)
    await queue.rescue(OTHER_SESSION, NOW, 1)
    assert await queue.report([report(1, Released(), epoch=2)], NOW) == [False]


async def test_a_repetition_within_one_batch_counts_once(queue: JobQueue) -> None:
    await queue.submit([new_job(1, session=SESSION), new_job(2, session=SESSION)])
    first, other = report(1, COMPLETED, tail=TAIL), report(1, Completed(b"other"))
    answers = await queue.report([first, report(2, COMPLETED), first, other], NOW)
    assert answers == [True, True, True, False]
    assert (await the_job(queue)).journal_length == 2


async def test_one_batch_may_hold_good_and_bad_reports_of_all_kinds(queue: JobQueue) -> None:
    await queue.submit([new_job(number, session=SESSION) for number in range(1, 8)])
    await queue.cancel([JobId(7)], NOW)
    reports = [report(n, *ENDS[e][:1], retry_ms=ENDS[e][1]) for n, e in enumerate(ENDS, start=1)]
    mixed = [part for good in reports for part in (report(int(good.placed.job), PARKED, epoch=5), good)]
    assert await queue.report(mixed, NOW) == [False, True] * 7
    assert await queue.counts() == {
        JobState.COMPLETED: 1,
        JobState.FAILED: 1,
        JobState.SCHEDULED: 1,
        JobState.SUSPENDED: 1,
        JobState.PENDING: 1,
        JobState.PAUSED: 1,
        JobState.CANCELLED: 1,
    }


# -------------------------------------------------------------------- tails


@pytest.mark.parametrize("tail", [Segment(1, 1, b"late"), Segment(0, 0, b""), Segment(0, 0, b"odd")])
@pytest.mark.parametrize("event", ENDS)
async def test_a_tail_that_does_not_fit_writes_nothing(queue: JobQueue, event: Event, tail: Segment) -> None:
    await reach(queue, 1, JobState.CANCELLING)
    before = await the_job(queue)
    outcome, retry_ms = ENDS[event]
    assert await queue.report([report(1, outcome, tail=tail, retry_ms=retry_ms)], NOW) == [False]
    assert await the_job(queue) == before
    assert await queue.journal(JobId(1), 1) == []


async def test_a_tail_that_was_appended_before_does_not_fit(queue: JobQueue) -> None:
    await reach(queue, 1, JobState.IN_PROGRESS)
    assert await queue.append([(placed(1), TAIL)]) == [Append.DONE]
    assert await queue.report([report(1, COMPLETED, tail=TAIL)], NOW) == [False]
    assert await queue.report([report(1, COMPLETED, tail=Segment(2, 1, b"c"))], NOW) == [True]
    assert await queue.journal(JobId(1), 1) == [TAIL, Segment(2, 1, b"c")]


# -------------------------------------------------------------------- what an end means


async def test_a_large_result_stays_a_reference(queue: JobQueue) -> None:
    await reach(queue, 1, JobState.IN_PROGRESS)
    ref = BlobRef(Digest("cd" * 32), 5_000_000)
    assert await queue.report([report(1, Completed(ref))], NOW) == [True]
    assert (await the_job(queue)).result == ref


async def test_an_empty_result_is_a_result(queue: JobQueue) -> None:
    await reach(queue, 1, JobState.IN_PROGRESS)
    assert await queue.report([report(1, Completed(b""))], NOW) == [True]
    assert (await the_job(queue)).result == b""


async def test_another_attempt_begins_with_an_empty_journal(queue: JobQueue) -> None:
    await reach(queue, 1, JobState.IN_PROGRESS)
    await queue.append([(placed(1), Segment(0, 1, b"a"))])
    await queue.report([report(1, FAILED, tail=Segment(1, 1, b"b"), retry_ms=NOW + 10)], NOW)
    job = await the_job(queue)
    assert (job.state, job.attempt, job.journal_length) == (JobState.SCHEDULED, 2, 0)
    assert (job.wake_ms, job.started_ms, job.failure) == (NOW + 10, None, FAILURE)
    await queue.wake(NOW + 10, 1)
    (claimed,) = await claim(queue, SESSION, 1)
    assert (claimed.attempt, claimed.epoch, claimed.journal_length) == (2, 2, 0)
    assert await queue.append([(placed(1, 2), Segment(0, 1, b"c"))]) == [Append.DONE]
    assert await queue.journal(JobId(1), 1) == [Segment(0, 1, b"a"), Segment(1, 1, b"b")]
    assert await queue.journal(JobId(1), 2) == [Segment(0, 1, b"c")]
    assert (await the_job(queue)).failure == FAILURE


@pytest.mark.parametrize("outcome", [Released(), Suspended(NOW + 10)])
async def test_a_job_that_goes_on_later_keeps_its_journal(queue: JobQueue, outcome: Outcome) -> None:
    await reach(queue, 1, JobState.IN_PROGRESS)
    await queue.report([report(1, outcome, tail=TAIL)], NOW)
    await queue.wake(NOW + 10, 1)
    (claimed,) = await claim(queue, OTHER_SESSION, 1)
    assert (claimed.attempt, claimed.journal_length) == (1, 2)
    assert await queue.append([(placed(1, 2), Segment(2, 1, b"more"))]) == [Append.DONE]
    assert await queue.journal(JobId(1), 1) == [TAIL, Segment(2, 1, b"more")]


@pytest.mark.parametrize("wake_ms", [0, NOW - 1, NOW])
async def test_a_suspension_whose_time_is_past_is_pending_at_once(queue: JobQueue, wake_ms: int) -> None:
    await reach(queue, 1, JobState.IN_PROGRESS)
    past = report(1, Suspended(wake_ms), tail=TAIL)
    assert await queue.report([past], NOW) == [True]
    job = await the_job(queue)
    assert (job.state, job.wake_ms, job.journal_length) == (JobState.PENDING, None, 2)
    assert await queue.report([past], NOW) == [True]


async def test_a_time_for_another_attempt_means_nothing_for_a_success(queue: JobQueue) -> None:
    await reach(queue, 1, JobState.IN_PROGRESS)
    assert await queue.report([report(1, COMPLETED, retry_ms=NOW + 5)], NOW) == [True]
    assert (await the_job(queue)).state is JobState.COMPLETED


# -------------------------------------------------------------------- append, journal


async def test_segments_are_appended_at_the_journals_end(queue: JobQueue) -> None:
    await reach(queue, 1, JobState.CLAIMED)
    segments = [Segment(0, 3, b"a"), Segment(3, 1, b""), Segment(4, 2, b"c" * 262_144)]
    assert await queue.append([(placed(1), segment) for segment in segments[:2]]) == [Append.DONE] * 2
    assert await queue.append([(placed(1), segments[2])]) == [Append.DONE]
    assert (await the_job(queue)).journal_length == 6
    assert await queue.journal(JobId(1), 1) == segments


async def test_what_does_not_begin_at_the_end_is_a_gap(queue: JobQueue) -> None:
    await reach(queue, 1, JobState.IN_PROGRESS)
    first = Segment(0, 2, b"ab")
    misfits = [
        Segment(1, 1, b"b"),  # overlaps
        Segment(3, 1, b"d"),  # leaves a hole
        Segment(2, 0, b""),  # holds nothing
        Segment(0, 2, b"xy"),  # the same place, other bytes
        Segment(0, 1, b"ab"),  # the same place, another count
    ]
    appended = await queue.append([(placed(1), segment) for segment in (first, *misfits)])
    assert appended == [Append.DONE] + [Append.GAP] * 5
    assert await queue.journal(JobId(1), 1) == [first]
    assert (await the_job(queue)).journal_length == 2


async def test_an_exact_repetition_is_done(queue: JobQueue) -> None:
    await reach(queue, 1, JobState.IN_PROGRESS)
    first, second = Segment(0, 2, b"ab"), Segment(2, 1, b"c")
    both = [(placed(1), first), (placed(1), second)]
    assert await queue.append(both) == [Append.DONE] * 2
    assert await queue.append(both) == [Append.DONE] * 2
    assert (await the_job(queue)).journal_length == 3
    assert await queue.journal(JobId(1), 1) == [first, second]


async def test_a_later_placement_cannot_claim_what_an_earlier_one_wrote(queue: JobQueue) -> None:
    await reach(queue, 1, JobState.IN_PROGRESS)
    await queue.append([(placed(1), TAIL)])
    await queue.rescue(SESSION, NOW, 5)
    await claim(queue, SESSION, 1)
    assert await queue.append([(placed(1, 2), TAIL)]) == [Append.GAP]


@pytest.mark.parametrize("state", [s for s in JobState if s not in PLACED])
async def test_a_placement_that_is_over_appends_nothing(queue: JobQueue, state: JobState) -> None:
    await reach(queue, 1, state)
    before = await the_job(queue)
    assert await queue.append([(placed(1, before.epoch), TAIL)]) == [Append.STALE]
    assert await the_job(queue) == before
    assert await queue.journal(JobId(1), before.attempt) == []


async def test_only_the_present_placement_appends(queue: JobQueue) -> None:
    await queue.submit([new_job(1, session=SESSION), new_job(2, session=SESSION)])
    await queue.report([report(1, Released())], NOW)
    await claim(queue, OTHER_SESSION, 1)
    asked = [(placed(1), TAIL), (placed(2), TAIL), (placed(1, 2), TAIL), (placed(3), TAIL)]
    assert await queue.append(asked) == [Append.STALE, Append.DONE, Append.DONE, Append.STALE]


async def test_a_job_that_is_being_cancelled_still_appends(queue: JobQueue) -> None:
    await reach(queue, 1, JobState.CANCELLING)
    assert await queue.append([(placed(1), TAIL)]) == [Append.DONE]


async def test_a_journal_is_read_in_pages(queue: JobQueue) -> None:
    await reach(queue, 1, JobState.IN_PROGRESS)
    segments = [Segment(3 * number, 3, b"%d" % number) for number in range(5)]
    await queue.append([(placed(1), segment) for segment in segments])
    assert await queue.journal(JobId(1), 1, limit=2) == segments[:2]
    assert await queue.journal(JobId(1), 1, first=5) == segments[1:]
    assert await queue.journal(JobId(1), 1, first=6) == segments[2:]
    assert await queue.journal(JobId(1), 1, first=14, limit=1) == segments[4:]
    assert await queue.journal(JobId(1), 1, first=15) == []
    assert await queue.journal(JobId(1), 2) == []
    assert await queue.journal(JobId(2), 1) == []

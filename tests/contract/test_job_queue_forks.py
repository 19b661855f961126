"""Forks and cuts of journals: for every job queue."""

import asyncio
from itertools import pairwise

import pytest
from msgspec.structs import replace

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Job, JobState
from mvm_ci.domain.lane import Concurrency, lane
from mvm_ci.domain.options import JobOptions
from mvm_ci.domain.outcome import Suspended
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.retention import Bounds
from mvm_ci.domain.segment import Prefix
from mvm_ci.ports.job_queue import Append, Change, JobFilter, JobQueue, Segment
from mvm_ci.ports.retention import RetainedJobs
from tests.contract.jobs import (
    COMPLETED,
    FAILED,
    MODULE,
    NOW,
    SESSION,
    claim,
    new_job,
    placed,
    reach,
    report,
)

EDGES = [0, 3, 4, 9]
SEGMENTS = [Segment(a, b - a, b"%d" % a * (b - a)) for a, b in pairwise(EDGES)]
NEW = JobId(7)


async def source(queue: JobQueue) -> None:
    """Job 1 runs, with a journal of three segments."""
    await reach(queue, 1, JobState.IN_PROGRESS)
    answers = await queue.append([(placed(1), segment) for segment in SEGMENTS])
    assert answers == [Append.DONE] * 3


def prefix(length: int, begin: int = 0, end: int | None = None, *others: Segment) -> Prefix:
    return Prefix(
        job=JobId(1),
        attempt=1,
        length=length,
        begin=begin,
        end=length if end is None else end,
        others=others,
    )


async def the_job(queue: JobQueue, job: JobId = NEW) -> Job | None:
    (found,) = await queue.get([job])
    return found


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_a_fork_begins_with_the_segments_of_the_other_job(queue: JobQueue, count: int) -> None:
    await source(queue)
    assert await queue.fork(new_job(NEW), prefix(EDGES[count])) is True
    job = await the_job(queue)
    assert job is not None
    assert (job.state, job.epoch, job.attempt, job.session) == (JobState.PENDING, 0, 1, None)
    assert job.journal_length == EDGES[count]
    assert await queue.journal(NEW, 1) == SEGMENTS[:count]
    assert await queue.journal(JobId(1), 1) == SEGMENTS, "the other one keeps its own"


async def test_a_fork_runs_and_its_journal_goes_on_where_the_prefix_ends(queue: JobQueue) -> None:
    await source(queue)
    await queue.fork(new_job(NEW), prefix(4))
    (claimed,) = await claim(queue, SESSION, 1)
    assert (claimed.id, claimed.epoch, claimed.attempt, claimed.journal_length) == (NEW, 1, 1, 4)
    wrong, right = Segment(3, 1, b"wrong"), Segment(4, 1, b"right")
    assert await queue.append([(placed(NEW), wrong), (placed(NEW), right)]) == [Append.GAP, Append.DONE]
    assert await queue.report([report(NEW, COMPLETED, tail=Segment(5, 1, b"end"))], NOW) == [True]
    assert [one.first for one in await queue.journal(NEW, 1)] == [0, 3, 4, 5]


async def test_what_is_written_anew_stands_before_and_behind_what_is_copied(queue: JobQueue) -> None:
    await source(queue)
    first, last = Segment(0, 3, b"another beginning"), Segment(4, 2, b"cut")
    assert await queue.fork(new_job(NEW), prefix(6, 3, 4, first, last)) is True
    assert await queue.journal(NEW, 1) == [first, SEGMENTS[1], last]
    assert await queue.journal(NEW, 1, 5) == [last]


async def test_a_prefix_of_nothing_but_new_segments_needs_the_other_journal(queue: JobQueue) -> None:
    only = Segment(0, 2, b"all of it")
    assert await queue.fork(new_job(NEW), prefix(2, 2, 2, only)) is False
    await source(queue)
    assert await queue.fork(new_job(NEW), prefix(2, 2, 2, only)) is True
    assert await queue.journal(NEW, 1) == [only]


async def test_options_and_terms_are_those_of_any_job(queue: JobQueue) -> None:
    await source(queue)
    ours = lane("team", "reports", 7, concurrency=Concurrency(key="k"))
    options = JobOptions(lane=ours, tags=("red",), metadata=(("forked_from", "j1"),))
    new = new_job(NEW, payload=BlobRef(MODULE, 5_000), options=options)
    assert await queue.fork(new, prefix(3)) is True
    job = await the_job(queue)
    assert job is not None
    assert (job.spec, job.options) == (new.spec, options)
    for term in ("red", "forked_from=j1"):
        assert await queue.list_jobs(JobFilter(namespace="team", terms=(term,))) == [job]
    assert await queue.ready_lanes() == {ours.id: ours}
    assert await queue.with_key("team", "k") == [NEW]


@pytest.mark.parametrize(
    "wrong",
    [
        prefix(10),
        prefix(8),
        prefix(9, 3),
        prefix(9, 0, 4),
        prefix(3, 0, 3, Segment(3, 1, b"too much")),
        replace(prefix(3), attempt=2),
        replace(prefix(3), job=JobId(2)),
    ],
    ids=["beyond", "inside", "no first", "no last", "more", "attempt", "job"],
)
async def test_what_is_not_there_as_a_whole_is_not_forked(queue: JobQueue, wrong: Prefix) -> None:
    await source(queue)
    options = replace(new_job(NEW).options, tags=("red",))
    assert await queue.fork(new_job(NEW, options=options), wrong) is False
    assert await the_job(queue) is None
    assert await queue.journal(NEW, 1) == []
    assert await queue.list_jobs(JobFilter(namespace="default", terms=("red",))) == []
    assert await queue.fork(new_job(NEW), prefix(3)) is True, "nothing stands in the way of another try"
    assert await queue.journal(NEW, 1) == SEGMENTS[:1]


async def test_a_repetition_changes_nothing_however_far_the_fork_is(
    queue: JobQueue, retained: RetainedJobs
) -> None:
    await source(queue)
    assert await queue.fork(new_job(NEW), prefix(4)) is True
    await claim(queue, SESSION, 1)
    await queue.append([(placed(NEW), Segment(4, 1, b"more"))])
    running = await the_job(queue)
    assert await queue.fork(new_job(NEW, payload=b"other"), prefix(9)) is True
    assert await the_job(queue) == running
    assert [one.first for one in await queue.journal(NEW, 1)] == [0, 3, 4]
    await queue.report([report(NEW, FAILED)], NOW)
    await retained.remove_journals(JobId(0), Bounds(JobId(100), NOW + 1), 100)
    ended = await the_job(queue)
    assert await queue.fork(new_job(NEW), prefix(4)) is True
    assert (await the_job(queue), await queue.journal(NEW, 1)) == (ended, [])


async def test_a_fork_of_a_journal_that_was_removed_is_none(queue: JobQueue, retained: RetainedJobs) -> None:
    await source(queue)
    await queue.report([report(1, COMPLETED)], NOW)
    await retained.remove_journals(JobId(0), Bounds(JobId(100), NOW + 1), 100)
    assert await queue.fork(new_job(NEW), prefix(4)) is False
    assert await the_job(queue) is None


async def test_a_fork_that_was_cancelled_before_it_began_keeps_its_journal(queue: JobQueue) -> None:
    await source(queue)
    await queue.fork(new_job(NEW), prefix(4))
    await queue.cancel([NEW], NOW)
    await queue.revive([NEW])
    (claimed,) = await claim(queue, SESSION, 1)
    assert (claimed.id, claimed.attempt, claimed.journal_length) == (NEW, 1, 4)
    assert await queue.append([(placed(NEW), Segment(4, 1, b"more"))]) == [Append.DONE]


async def test_the_next_attempt_of_a_fork_begins_anew(queue: JobQueue) -> None:
    await source(queue)
    await queue.fork(new_job(NEW), prefix(4))
    await claim(queue, SESSION, 1)
    await queue.report([report(NEW, FAILED)], NOW)
    await queue.revive([NEW])
    (claimed,) = await claim(queue, SESSION, 1)
    assert (claimed.attempt, claimed.journal_length) == (2, 0)
    assert await queue.journal(NEW, 1) == SEGMENTS[:2]


async def test_the_other_job_may_go(queue: JobQueue) -> None:
    await source(queue)
    await queue.fork(new_job(NEW), prefix(4))
    await queue.report([report(1, COMPLETED)], NOW)
    (deleted,) = await queue.delete([JobId(1)])
    assert deleted.change is Change.DONE
    assert await queue.journal(NEW, 1) == SEGMENTS[:2]


async def test_forks_that_are_asked_for_together_do_not_mix(queue: JobQueue) -> None:
    await source(queue)
    forks = [queue.fork(new_job(NEW + at), prefix(EDGES[at])) for at in (1, 2, 3)]
    forks.append(queue.fork(new_job(NEW), prefix(5)))
    assert await asyncio.gather(*forks) == [True, True, True, False]
    lengths = [len(await queue.journal(JobId(NEW + at), 1)) for at in range(4)]
    assert lengths == [0, 1, 2, 3]


async def test_a_large_prefix_is_there_as_a_whole(queue: JobQueue) -> None:
    await reach(queue, 1, JobState.IN_PROGRESS)
    large = [Segment(at, 1, bytes([at]) * (256 << 10)) for at in range(20)]
    for segment in large:
        await queue.append([(placed(1), segment)])
    assert await queue.fork(new_job(NEW), prefix(19)) is True
    assert await queue.journal(NEW, 1) == large[:19]


# -------------------------------------------------------------------- cuts


@pytest.mark.parametrize("kept", [0, 1, 2])
async def test_a_cut_takes_back_the_last_segments(queue: JobQueue, kept: int) -> None:
    await source(queue)
    for _ in range(2):
        assert await queue.cut_journal(placed(1), EDGES[kept]) is True
        job = await the_job(queue, JobId(1))
        assert job is not None
        assert (job.journal_length, job.state) == (EDGES[kept], JobState.IN_PROGRESS)
        assert await queue.journal(JobId(1), 1) == SEGMENTS[:kept]
    again = Segment(EDGES[kept], 1, b"again")
    assert await queue.append([(placed(1), again)]) == [Append.DONE]
    assert await queue.journal(JobId(1), 1) == [*SEGMENTS[:kept], again]


async def test_a_cut_beyond_the_end_changes_nothing(queue: JobQueue) -> None:
    await source(queue)
    assert await queue.cut_journal(placed(1), 12) is True
    assert await queue.journal(JobId(1), 1) == SEGMENTS
    job = await the_job(queue, JobId(1))
    assert job is not None
    assert job.journal_length == 9


@pytest.mark.parametrize("epoch", [0, 2])
async def test_a_cut_for_another_placement_is_refused(queue: JobQueue, epoch: int) -> None:
    await source(queue)
    assert await queue.cut_journal(placed(1, epoch), 3) is False
    assert await queue.journal(JobId(1), 1) == SEGMENTS


async def test_a_cut_for_a_placement_that_is_over_is_refused(queue: JobQueue) -> None:
    await source(queue)
    await queue.report([report(1, Suspended(NOW + 5))], NOW)
    assert await queue.cut_journal(placed(1), 3) is False
    assert await queue.cut_journal(placed(2), 3) is False
    assert await queue.journal(JobId(1), 1) == SEGMENTS


async def test_a_cut_leaves_earlier_attempts_and_other_jobs_alone(queue: JobQueue) -> None:
    await source(queue)
    await queue.report([report(1, FAILED, retry_ms=NOW + 1)], NOW)
    await queue.wake(NOW + 1, 10)
    await queue.fork(new_job(NEW), prefix(9))
    claimed = await claim(queue, SESSION, 2)
    assert {job.id for job in claimed} == {JobId(1), NEW}
    await queue.append([(placed(1, 2), Segment(0, 1, b"anew"))])
    assert await queue.cut_journal(placed(1, 2), 0) is True
    assert await queue.journal(JobId(1), 2) == []
    assert await queue.journal(JobId(1), 1) == SEGMENTS
    assert await queue.journal(NEW, 1) == SEGMENTS

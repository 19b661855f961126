"""One suite for every job store's side of retention: what `ports.retention` promises."""

import pytest
from msgspec.structs import replace

from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.job import FINAL, JobState
from mvm_ci.domain.lane import lane
from mvm_ci.domain.options import DEFAULT_OPTIONS, Dependency, Idempotency, Needs
from mvm_ci.domain.outcome import Completed
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.retention import Bounds
from mvm_ci.ports.job_queue import Append, JobQueue, Segment
from mvm_ci.ports.retention import RetainedJobs
from tests.contract.jobs import (
    COMPLETED,
    FAILED,
    MODULE,
    NOW,
    SESSION,
    UPSTREAM,
    claim,
    new_job,
    placed,
    reach,
    report,
)

START = JobId(0)
EVERYTHING = Bounds(JobId(1 << 62), NOW + 1)


async def finished(queue: JobQueue, *numbers: int, now_ms: int = NOW) -> None:
    await queue.submit([new_job(number, session=SESSION) for number in numbers])
    await queue.report([report(number, COMPLETED) for number in numbers], now_ms)


async def left(queue: JobQueue) -> list[int]:
    return sorted(job.id for job in await queue.list_jobs(limit=1000))


@pytest.mark.parametrize("state", JobState)
async def test_only_what_is_over_is_removed(queue: JobQueue, retained: RetainedJobs, state: JobState) -> None:
    await reach(queue, 5, state)
    removal = await retained.remove_finished(START, EVERYTHING, 10)
    assert (removal.removed, removal.last) == ((1, None) if state in FINAL else (0, None))
    assert [job for job in await left(queue) if job != UPSTREAM] == ([] if state in FINAL else [5])


@pytest.mark.parametrize("needs", Needs)
async def test_what_a_job_that_is_not_over_waits_for_stays(
    queue: JobQueue, retained: RetainedJobs, needs: Needs
) -> None:
    await finished(queue, 1, 2)
    waits = replace(DEFAULT_OPTIONS, after=(Dependency(JobId(1), needs),))
    await queue.submit([new_job(3, options=waits)])
    assert (await retained.remove_finished(START, EVERYTHING, 10)).removed == 1
    assert await left(queue) == [1, 3]
    await queue.cancel([JobId(3)], NOW)
    assert (await retained.remove_finished(START, EVERYTHING, 10)).removed == 2
    assert await left(queue) == []


async def test_a_key_that_was_used_is_free_again_once_its_job_is_removed(
    queue: JobQueue, retained: RetainedJobs
) -> None:
    keyed = replace(DEFAULT_OPTIONS, idempotency=Idempotency("key", b"r" * 16), tags=("nightly",))
    await queue.submit([new_job(1, session=SESSION, options=keyed)])
    await queue.report([report(1, COMPLETED)], NOW)
    namespace = DEFAULT_OPTIONS.lane.namespace
    assert set(await queue.keyed(namespace, ["key"])) == {"key"}
    assert (await retained.remove_finished(START, EVERYTHING, 10)).removed == 1
    assert await queue.keyed(namespace, ["key"]) == {}
    await queue.submit([new_job(2, options=keyed)])
    assert await left(queue) == [2]


async def test_journals_of_all_attempts_go_with_the_job(queue: JobQueue, retained: RetainedJobs) -> None:
    await queue.submit([new_job(1, session=SESSION), new_job(2, session=SESSION)])
    for number in (1, 2):
        await queue.append([(placed(number), Segment(first=0, count=1, data=b"a" * 100))])
    await queue.report([report(1, FAILED, retry_ms=NOW)], NOW)
    await queue.wake(NOW, 10)
    await claim(queue, SESSION, 10)
    await queue.append([(placed(1, 2), Segment(first=0, count=1, data=b"b" * 50))])
    await queue.report([report(1, COMPLETED, epoch=2)], NOW)
    (page,) = (await retained.finished(None, 10)).jobs
    assert page.held_bytes == len(b"in") + len(b'"done"') + 150
    assert (await retained.remove_finished(START, EVERYTHING, 10)).removed == 1
    assert await queue.journal(JobId(1), 1) == await queue.journal(JobId(1), 2) == []
    assert len(await queue.journal(JobId(2), 1)) == 1


async def test_bounds_are_of_ids_and_of_ends(queue: JobQueue, retained: RetainedJobs) -> None:
    await finished(queue, 1, 4)
    await finished(queue, 2, now_ms=NOW + 5)
    await finished(queue, 3, now_ms=NOW + 6)
    assert (await retained.remove_finished(START, Bounds(JobId(4), NOW + 6), 10)).removed == 2
    assert await left(queue) == [3, 4]


async def test_a_batch_looks_at_no_more_jobs_than_asked_and_says_where_it_ended(
    queue: JobQueue, retained: RetainedJobs
) -> None:
    await finished(queue, *range(1, 6))
    await reach(queue, 6, JobState.SUSPENDED)
    await finished(queue, 7)
    first = await retained.remove_finished(START, EVERYTHING, 3)
    assert (first.removed, first.last) == (3, 3)
    second = await retained.remove_finished(JobId(3), EVERYTHING, 3)
    assert (second.removed, second.last) == (2, 6)
    third = await retained.remove_finished(JobId(6), EVERYTHING, 3)
    assert (third.removed, third.last) == (1, None)
    assert await left(queue) == [6]


async def test_finished_jobs_are_shown_newest_first_page_by_page(
    queue: JobQueue, retained: RetainedJobs
) -> None:
    await finished(queue, 1, 2, 4)
    await reach(queue, 3, JobState.PENDING)
    page = await retained.finished(None, 2)
    assert ([job.id for job in page.jobs], page.last) == ([4], 3)
    page = await retained.finished(JobId(3), 3)
    assert ([job.id for job in page.jobs], page.last) == ([2, 1], None)


async def test_blobs_count_with_their_size(queue: JobQueue, retained: RetainedJobs) -> None:
    large = BlobRef(Digest("7" * 64), 50_000)
    await queue.submit([new_job(1, session=SESSION, payload=large)])
    await queue.report([report(1, Completed(large))], NOW)
    (job,) = (await retained.finished(None, 10)).jobs
    assert job.held_bytes == 2 * (50_000 + 32)


async def test_references_are_modules_payloads_and_what_journals_name(
    queue: JobQueue, retained: RetainedJobs
) -> None:
    names = {letter: Digest(letter * 64) for letter in "abcdef"}
    await queue.submit([new_job(1, session=SESSION, payload=BlobRef(names["a"], 5_000))])
    await queue.report([report(1, Completed(BlobRef(names["b"], 5_000)))], NOW)
    await queue.submit([new_job(2, session=SESSION)])
    # In a longer run of hex digits, too: nothing is known about the bytes.
    for first, data in enumerate((b"\x91" + names["c"].encode(), b"0" * 9 + names["d"].encode() + b"1")):
        await queue.append([(placed(2), Segment(first=first, count=1, data=data))])
    among = {*names.values(), MODULE}
    page = await retained.references(START, among, 1)
    assert page.found == {MODULE, names["a"], names["b"]}
    assert page.last == 1
    page = await retained.references(JobId(1), among, 2)
    assert page.found == {MODULE, names["c"], names["d"]}
    assert page.last is None
    assert (await retained.references(START, {names["f"]}, 10)).found == set()


async def test_the_journal_of_an_attempt_that_is_over_counts_as_long_as_it_is_kept(
    queue: JobQueue, retained: RetainedJobs
) -> None:
    named = Digest("c" * 64)
    await queue.submit([new_job(1, session=SESSION)])
    await queue.append([(placed(1), Segment(first=0, count=1, data=named.encode()))])
    await queue.report([report(1, FAILED, retry_ms=NOW)], NOW)
    assert (await retained.references(START, {named}, 10)).found == {named}


@pytest.mark.parametrize("state", JobState)
async def test_journals_of_jobs_that_are_over_go_alone_but_not_of_dead_ones(
    queue: JobQueue, retained: RetainedJobs, state: JobState
) -> None:
    await reach(queue, 5, state)
    (before,) = await queue.get([JobId(5)])
    assert before is not None
    journal = await queue.journal(JobId(5), before.attempt)
    goes = state in FINAL - {JobState.DEAD} and bool(journal)
    assert (await retained.remove_journals(START, EVERYTHING, 10)).removed == goes
    (after,) = await queue.get([JobId(5)])
    assert after == (replace(before, journal_length=0) if goes else before)
    assert await queue.journal(JobId(5), before.attempt) == ([] if goes else journal)


async def test_a_job_without_its_journal_keeps_its_result_and_a_failed_one_can_try_again(
    queue: JobQueue, retained: RetainedJobs
) -> None:
    await queue.submit([new_job(number, session=SESSION) for number in (1, 2)])
    await queue.append([(placed(number), Segment(first=0, count=2, data=b"ab")) for number in (1, 2)])
    await queue.report([report(1, COMPLETED), report(2, FAILED)], NOW)
    assert (await retained.remove_journals(START, Bounds(JobId(3), NOW), 10)).removed == 0
    assert (await retained.remove_journals(START, EVERYTHING, 1)).last == 1
    assert (await retained.remove_journals(JobId(1), EVERYTHING, 10)).removed == 1
    (done, _) = await queue.get([JobId(1), JobId(2)])
    assert done is not None
    assert (done.result, done.journal_length) == (b'"done"', 0)
    await queue.revive([JobId(2)])
    (claimed,) = await claim(queue, SESSION, 10)
    assert (claimed.attempt, claimed.journal_length) == (2, 0)
    assert await queue.append([(placed(2, 2), Segment(first=0, count=1, data=b"a"))]) == [Append.DONE]


async def test_only_the_keys_of_jobs_that_are_over_for_long_are_forgotten(
    queue: JobQueue, retained: RetainedJobs
) -> None:
    keyed = {n: replace(DEFAULT_OPTIONS, idempotency=Idempotency(f"k{n}", b"r" * 16)) for n in (1, 2, 3)}
    await queue.submit([new_job(n, session=SESSION, options=options) for n, options in keyed.items()])
    await queue.report([report(1, COMPLETED)], NOW)
    await queue.report([report(2, COMPLETED)], NOW + 5)
    removal = await retained.forget_keys(START, EVERYTHING, 10)
    assert (removal.removed, removal.last) == (1, None)
    namespace = DEFAULT_OPTIONS.lane.namespace
    assert set(await queue.keyed(namespace, ["k1", "k2", "k3"])) == {"k2", "k3"}
    assert await left(queue) == [1, 2, 3]
    (job,) = await queue.get([JobId(1)])
    assert job is not None
    assert (job.options.idempotency, job.result) == (None, b'"done"')
    await queue.submit([new_job(4, options=keyed[1])])
    assert (await queue.keyed(namespace, ["k1"]))["k1"].job == 4


async def test_stored_bytes_are_inputs_and_results_of_one_namespace_in_every_state(queue: JobQueue) -> None:
    large = BlobRef(Digest("7" * 64), 50_000)
    await queue.submit([new_job(1, session=SESSION, payload=large), new_job(2, payload=b"12345")])
    other = replace(DEFAULT_OPTIONS, lane=lane("other"))
    await queue.submit([new_job(3, session=SESSION, payload=b"123", options=other)])
    namespace = DEFAULT_OPTIONS.lane.namespace
    assert await queue.stored(namespace) == 50_005
    await queue.report([report(1, Completed(large)), report(3, COMPLETED)], NOW)
    assert await queue.stored(namespace) == 100_005
    assert await queue.stored("other") == 3 + len(b'"done"')
    await queue.delete([JobId(1)])
    assert await queue.stored(namespace) == 5
    assert await queue.stored("none") == 0

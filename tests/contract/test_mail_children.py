"""One suite for every store of mail: what parents hear of their children, and going on as a new execution."""

from collections.abc import Awaitable, Callable
from typing import Final

import pytest
from msgspec.structs import replace

from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.job import FINAL, PLACED, JobState
from mvm_ci.domain.mail import NEVER_MS
from mvm_ci.domain.options import DEFAULT_OPTIONS, Dependency, Parent
from mvm_ci.domain.outcome import (
    EXPIRED,
    SUPERSEDED,
    UNMET,
    Completed,
    Continued,
    Failure,
    FailureKind,
    Outcome,
    Released,
    Stopped,
    Suspended,
)
from mvm_ci.domain.payload import BlobRef
from mvm_ci.ports.job_queue import Append, Change, JobQueue, Segment
from mvm_ci.ports.mail import MailStore
from mvm_ci.ports.retention import RetainedJobs
from tests.contract.jobs import (
    COMPLETED,
    FAILED,
    FAILURE,
    NOW,
    PARKED,
    SESSION,
    claim,
    new_job,
    placed,
    reach,
    report,
)
from tests.contract.letters import GO, WAITS, child, child_of, letter, suspended, the, waiting
from tests.contract.test_retention import EVERYTHING, START

CHILD: Final = "child:2"
WAITS_FOR_CHILD: Final = Suspended(NEVER_MS, (CHILD,))
LARGE: Final = BlobRef(Digest("7" * 64), 10_000)


def no_reason(state: JobState) -> Failure:
    return Failure(kind=FailureKind.CHILD, message=f"the child is {state.label}")


async def _complete(queue: JobQueue) -> None:
    await queue.report([report(2, Completed(LARGE))], NOW)


async def _fail(queue: JobQueue) -> None:
    await queue.report([report(2, FAILED)], NOW)


async def _cancel(queue: JobQueue) -> None:
    await queue.report([report(2, Released())], NOW)
    await queue.cancel([JobId(2)], NOW)


async def _stop(queue: JobQueue) -> None:
    await queue.cancel([JobId(2)], NOW)
    assert await waiting_states(queue) == [JobState.SUSPENDED, JobState.CANCELLING]
    await queue.report([report(2, Stopped())], NOW)


async def _cancel_at_a_lost_worker(queue: JobQueue) -> None:
    await queue.cancel([JobId(2)], NOW)
    await queue.rescue(SESSION, NOW, 9)


async def _bury(queue: JobQueue) -> None:
    await queue.start([placed(2)], NOW)
    await queue.rescue(SESSION, NOW, 0)


async def _supersede(queue: JobQueue) -> None:
    await queue.report([report(2, Released())], NOW)
    await queue.supersede([JobId(2)], NOW)


WAYS: Final[dict[str, tuple[Callable[[JobQueue], Awaitable[None]], JobState, Failure | None]]] = {
    "complete": (_complete, JobState.COMPLETED, None),
    "fail": (_fail, JobState.FAILED, FAILURE),
    "cancel": (_cancel, JobState.CANCELLED, no_reason(JobState.CANCELLED)),
    "stop": (_stop, JobState.CANCELLED, no_reason(JobState.CANCELLED)),
    "cancel, worker lost": (_cancel_at_a_lost_worker, JobState.CANCELLED, no_reason(JobState.CANCELLED)),
    "bury": (_bury, JobState.DEAD, no_reason(JobState.DEAD)),
    "supersede": (_supersede, JobState.CANCELLED, SUPERSEDED),
}


async def waiting_states(queue: JobQueue) -> list[JobState]:
    return [(await the(queue, job)).state for job in (1, 2)]


async def family(queue: JobQueue) -> None:
    """Job 1 waits for its child 2, which is at a worker."""
    await suspended(queue, 1, CHILD)
    await queue.submit([child(2, placed=True)])


# -------------------------------------------------------------------- ends


@pytest.mark.parametrize("way", WAYS)
async def test_however_a_child_ends_its_parent_wakes_and_hears_of_it_once(
    queue: JobQueue, mail: MailStore, way: str
) -> None:
    end, state, failure = WAYS[way]
    await family(queue)
    await end(queue)
    assert await waiting_states(queue) == [JobState.PENDING, state]
    (piece,) = await waiting(mail, 1, CHILD)
    assert (piece.body, piece.failure) == (LARGE if way == "complete" else None, failure)


async def test_a_child_that_no_worker_took_in_time(queue: JobQueue, mail: MailStore) -> None:
    await suspended(queue, 1, CHILD)
    options = child_of(1, options=replace(DEFAULT_OPTIONS, expires_ms=NOW + 5))
    await queue.submit([new_job(2, options=options)])
    assert await queue.expire(NOW + 5, 9) == [2]
    assert (await the(queue)).state is JobState.PENDING
    assert [piece.failure for piece in await waiting(mail, 1, CHILD)] == [EXPIRED]


async def test_a_child_that_cannot_get_what_it_waits_for(queue: JobQueue, mail: MailStore) -> None:
    await suspended(queue, 1, CHILD)
    options = child_of(1, options=replace(DEFAULT_OPTIONS, after=(Dependency(JobId(3)),)))
    await queue.submit([new_job(3)])
    await queue.submit([new_job(2, options=options)])
    await queue.cancel([JobId(3)], NOW)
    assert (await queue.settle([JobId(3)], NOW)).cancelled == (2,)
    assert (await the(queue)).state is JobState.PENDING
    assert [piece.failure for piece in await waiting(mail, 1, CHILD)] == [UNMET]


async def test_a_child_that_goes_on_has_not_ended(queue: JobQueue, mail: MailStore) -> None:
    await family(queue)
    await queue.report([report(2, FAILED, retry_ms=NOW)], NOW)
    await queue.wake(NOW, 9)
    steps: list[Outcome] = [Suspended(NOW), Continued(b"again"), Released(), PARKED]
    for epoch, outcome in enumerate(steps, 2):
        (claimed,) = await claim(queue, SESSION, 9)
        assert (claimed.id, claimed.epoch) == (2, epoch)
        await queue.report([report(2, outcome, epoch=epoch)], NOW)
        assert await waiting(mail, 1, CHILD) == []
    assert await waiting_states(queue) == [JobState.SUSPENDED, JobState.PAUSED]
    assert await mail.children([JobId(1)]) == {1: [2]}


@pytest.mark.parametrize("parent", [*PLACED, JobState.PENDING, JobState.PAUSED, JobState.SCHEDULED])
async def test_an_end_is_kept_until_the_parent_asks(
    queue: JobQueue, mail: MailStore, parent: JobState
) -> None:
    await reach(queue, 1, parent)
    await queue.submit([child(2, placed=True)])
    before = await the(queue)
    await queue.report([report(2, COMPLETED)], NOW)
    assert await the(queue) == before
    assert [piece.body for piece in await waiting(mail, 1, CHILD)] == [b'"done"']


async def test_an_end_that_came_before_the_parent_waits_for_it(queue: JobQueue, mail: MailStore) -> None:
    await queue.submit([new_job(1, session=SESSION), child(2, placed=True)])
    ends = [report(2, COMPLETED), report(1, WAITS_FOR_CHILD)]
    assert await queue.report(ends, NOW) == [True, True]
    assert (await the(queue)).state is JobState.PENDING
    await queue.submit([new_job(3, session=SESSION), child(4, 3, placed=True)])
    ends = [report(3, Suspended(NEVER_MS, ("child:4",))), report(4, COMPLETED)]
    assert await queue.report(ends, NOW) == [True, True]
    assert (await the(queue, 3)).state is JobState.PENDING


@pytest.mark.parametrize("parent", sorted(FINAL))
async def test_a_parent_that_has_ended_hears_nothing_unless_it_may_go_on(
    queue: JobQueue, mail: MailStore, parent: JobState
) -> None:
    await reach(queue, 1, parent)
    await queue.submit([child(2, placed=True)])
    await queue.report([report(2, COMPLETED)], NOW)
    assert len(await waiting(mail, 1, CHILD)) == (parent is JobState.DEAD)


async def test_a_dead_parent_that_is_revived_goes_on_with_the_ends_of_its_children(
    queue: JobQueue, mail: MailStore
) -> None:
    await reach(queue, 1, JobState.DEAD)
    await queue.submit([child(2)])
    await queue.cancel([JobId(2)], NOW)
    await queue.revive([JobId(1)])
    (claimed,) = await claim(queue, SESSION, 1)
    assert (claimed.id, claimed.attempt) == (1, 1)
    await queue.report([report(1, WAITS_FOR_CHILD, epoch=claimed.epoch)], NOW)
    assert (await the(queue)).state is JobState.PENDING


async def test_a_revived_child_is_nobodys(queue: JobQueue, mail: MailStore) -> None:
    await family(queue)
    await queue.report([report(2, FAILED)], NOW)
    await queue.revive([JobId(2)])
    assert (await the(queue, 2)).options.parent is None
    assert await mail.parents() == {}
    await claim(queue, SESSION, 9)
    await queue.report([report(2, COMPLETED, epoch=2)], NOW)
    assert [piece.failure for piece in await waiting(mail, 1, CHILD)] == [FAILURE], "the end it heard of"


async def test_a_child_of_nobody_that_is_there_ends_like_any_job(queue: JobQueue, mail: MailStore) -> None:
    await queue.submit([child(2, placed=True)])
    assert await queue.report([report(2, COMPLETED)], NOW) == [True]
    assert await waiting(mail, 1, CHILD) == []


# -------------------------------------------------------------------- who belongs to whom


async def test_children_are_listed_until_they_end(queue: JobQueue, mail: MailStore) -> None:
    await queue.submit([new_job(1), new_job(5), child(4, attempt=3), child(2), child(3), child(6, 5)])
    assert await mail.children([JobId(1), JobId(5), JobId(9)]) == {1: [2, 3, 4], 5: [6]}
    assert await mail.children([]) == {}
    assert await mail.parents() == {
        2: Parent(JobId(1), 1),
        3: Parent(JobId(1), 1),
        4: Parent(JobId(1), 3),
        6: Parent(JobId(5), 1),
    }
    assert (await the(queue, 4)).options.parent == Parent(JobId(1), 3)
    await queue.cancel([JobId(2), JobId(6)], NOW)
    assert await mail.children([JobId(1), JobId(5)]) == {1: [3, 4]}
    assert (await the(queue, 2)).options.parent == Parent(JobId(1), 1), "it stays its child"


async def test_the_parent_of_a_child_that_has_not_ended_stays(
    queue: JobQueue, retained: RetainedJobs
) -> None:
    await queue.submit([new_job(1, session=SESSION), child(2)])
    await queue.report([report(1, COMPLETED)], NOW)
    (refused,) = await queue.delete([JobId(1)])
    assert refused.change is Change.REFUSED
    assert (await retained.remove_finished(START, EVERYTHING, 10)).removed == 0
    await queue.cancel([JobId(2)], NOW)
    assert (await retained.remove_finished(START, EVERYTHING, 1)).removed == 1
    assert [job.id for job in await queue.list_jobs()] == [2]
    (done,) = await queue.delete([JobId(2)])
    assert done.change is Change.DONE


async def test_what_waiting_mail_says_is_kept_and_counted(
    queue: JobQueue, mail: MailStore, retained: RetainedJobs
) -> None:
    sent, promised = BlobRef(Digest("8" * 64), 5_000), BlobRef(Digest("9" * 64), 6_000)
    await queue.submit([new_job(1, session=SESSION), child(2, placed=True)])
    namespace = DEFAULT_OPTIONS.lane.namespace
    before = await queue.stored(namespace)
    await mail.send(letter(body=sent))
    await mail.send(letter(key="small", body=b"12345"))
    await mail.send(letter(key="promised", body=promised))
    await queue.report([report(2, Completed(LARGE))], NOW)
    asked = frozenset({sent.digest, promised.digest, LARGE.digest})
    assert (await retained.references(START, asked, 1)).found == asked, "of job 1 alone"
    # A child's result is the child's own.
    assert await queue.stored(namespace) == before + 5_000 + 6_000 + 5 + LARGE.size
    first, second, third = await waiting(mail, 1)
    taken = Segment(0, 1, b"took", (first.number, second.number))
    assert await queue.append([(placed(1), taken)]) == [Append.DONE]
    assert (await retained.references(START, asked, 1)).found == {promised.digest, LARGE.digest}
    assert await queue.stored(namespace) == before + 6_000 + LARGE.size
    await queue.report([report(1, COMPLETED)], NOW)
    ended = {job.id: job.held_bytes for job in (await retained.finished(None, 10)).jobs}
    # A reference takes its digest's 32 bytes, too.
    assert ended[JobId(1)] == len(b'in"done"took') + 6_000 + 32 + LARGE.size + 32
    assert third.body == promised


# -------------------------------------------------------------------- going on as new


@pytest.mark.parametrize("tail", [None, Segment(0, 1, b"the end")], ids=["no tail", "tail"])
@pytest.mark.parametrize("state", JobState)
async def test_going_on_as_new_in_every_state(
    queue: JobQueue, mail: MailStore, state: JobState, tail: Segment | None
) -> None:
    await reach(queue, 1, state)
    before = await the(queue)
    again = report(1, Continued(LARGE), tail=tail)
    assert await queue.report([again, again], NOW + 9) == [state in PLACED] * 2
    after = await the(queue)
    journal = await queue.journal(JobId(1), 1)
    if state not in PLACED:
        assert (after, journal) == (before, [])
        return
    assert journal == ([tail] if tail else [])
    assert after.session is None
    if state is JobState.CANCELLING:
        assert (after.state, after.finished_ms) == (JobState.CANCELLED, NOW + 9)
        assert (after.attempt, after.first_attempt, after.spec) == (1, 1, before.spec)
        assert after.journal_length == len(journal)
        return
    expected = JobState.PAUSED if state is JobState.PAUSING else JobState.PENDING
    assert (after.state, after.wake_ms, after.finished_ms) == (expected, None, None)
    assert (after.attempt, after.first_attempt, after.journal_length, after.started_ms) == (2, 2, 0, None)
    assert after.spec == replace(before.spec, input=LARGE)
    if state is JobState.PAUSING:
        await queue.resume([JobId(1)], NOW)
    (claimed,) = await claim(queue, SESSION, 1)
    assert (claimed.attempt, claimed.epoch, claimed.journal_length) == (2, 2, 0)
    assert claimed.spec.input == LARGE


async def test_of_a_job_that_goes_on_again_and_again_two_journals_are_kept(queue: JobQueue) -> None:
    await queue.submit([new_job(1, session=SESSION), new_job(2, session=SESSION)])
    for epoch in range(1, 6):
        tail = Segment(0, 1, b"%d" % epoch)
        await queue.report([report(1, Continued(b"%d" % epoch), epoch=epoch, tail=tail)], NOW)
        assert (await claim(queue, SESSION, 1))[0].attempt == epoch + 1
    journals = [await queue.journal(JobId(1), attempt) for attempt in range(1, 7)]
    assert journals == [[], [], [], [], [Segment(0, 1, b"5")], []]
    # What failed before it went on is of the run before, and goes with it.
    await queue.report([report(1, FAILED, epoch=6, tail=Segment(0, 1, b"6"), retry_ms=NOW)], NOW)
    await queue.wake(NOW, 1)
    await claim(queue, SESSION, 1)
    job = await the(queue)
    assert (job.attempt, job.first_attempt) == (7, 6)
    assert [len(await queue.journal(JobId(1), attempt)) for attempt in (5, 6)] == [1, 1]
    await queue.report([report(1, Continued(b"8"), epoch=7)], NOW)
    job = await the(queue)
    assert (job.attempt, job.first_attempt) == (8, 8)
    assert [len(await queue.journal(JobId(1), attempt)) for attempt in (5, 6)] == [0, 0]


async def test_a_new_execution_takes_the_mail_that_the_one_before_left(
    queue: JobQueue, mail: MailStore
) -> None:
    await queue.submit([new_job(1, session=SESSION), child(2, placed=True)])
    for key in "ab":
        await mail.send(letter(key=key))
    first, second = await waiting(mail)
    tail = Segment(0, 1, b"took one", (first.number,))
    assert await queue.report([report(1, Continued(b"next"), tail=tail)], NOW) == [True]
    assert await waiting(mail) == [second]
    await queue.report([report(2, COMPLETED)], NOW)
    assert [piece.topic for piece in await waiting(mail, 1, CHILD)] == [CHILD]
    await claim(queue, SESSION, 1)
    await queue.report([report(1, WAITS, epoch=2)], NOW)
    assert (await the(queue)).state is JobState.PENDING


async def test_another_epoch_does_not_go_on(queue: JobQueue) -> None:
    await queue.submit([new_job(1, session=SESSION)])
    await queue.report([report(1, Released())], NOW)
    await claim(queue, SESSION, 1)
    before = await the(queue)
    for epoch in (1, 3):
        assert await queue.report([report(1, Continued(b"x"), epoch=epoch)], NOW) == [False]
    assert await the(queue) == before


async def test_a_job_that_went_on_waits_as_ever(queue: JobQueue, mail: MailStore) -> None:
    await queue.submit([new_job(1, session=SESSION)])
    await queue.report([report(1, Continued(b"x"))], NOW)
    await claim(queue, SESSION, 1)
    await queue.report([report(1, WAITS, epoch=2)], NOW)
    assert (await the(queue)).state is JobState.SUSPENDED
    await mail.send(letter(topic=GO))
    assert (await the(queue)).state is JobState.PENDING

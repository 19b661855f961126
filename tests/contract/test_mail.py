"""One suite for every store of mail: letters, waits, what journals take, promises, what users see."""

import asyncio

import pytest

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import FINAL, PLACED, JobState
from mvm_ci.domain.mail import NEVER_MS, of_promise
from mvm_ci.domain.options import terms
from mvm_ci.domain.outcome import Failure, FailureKind, Released, Stopped, Suspended
from mvm_ci.domain.shown import Progress
from mvm_ci.ports.job_queue import Append, JobFilter, JobQueue, Segment
from mvm_ci.ports.mail import Letter, MailStore, Sent
from tests.contract.jobs import COMPLETED, FAILED, NOW, PARKED, SESSION, claim, new_job, placed, reach, report
from tests.contract.letters import GO, OTHER, WAITS, child, letter, promise, said, suspended, the, waiting

ALIVE = sorted(set(JobState) - FINAL)


@pytest.fixture
def at_most_three(monkeypatch: pytest.MonkeyPatch) -> None:
    for adapter in ("memory", "sql"):
        monkeypatch.setattr(f"mvm_ci.adapters.{adapter}.mail.MAX_WAITING", 3)


# -------------------------------------------------------------------- letters


@pytest.mark.parametrize("state", ALIVE)
async def test_mail_waits_for_a_job_that_has_not_ended(
    queue: JobQueue, mail: MailStore, state: JobState
) -> None:
    await reach(queue, 1, state)
    before = await the(queue)
    assert await mail.send(letter()) is Sent.DONE
    assert said(await waiting(mail)) == [(GO, b'"hello"')]
    assert await the(queue) == before, "a job that does not wait for it is as it was"


@pytest.mark.parametrize("state", FINAL)
async def test_nothing_is_sent_to_a_job_that_has_ended(
    queue: JobQueue, mail: MailStore, state: JobState
) -> None:
    await reach(queue, 1, state)
    assert await mail.send(letter()) is Sent.OVER
    assert await mail.send(letter(2)) is Sent.OVER
    assert await waiting(mail) == await waiting(mail, 2) == []


async def test_the_same_key_and_topic_are_one_letter(queue: JobQueue, mail: MailStore) -> None:
    await queue.submit([new_job(1), new_job(2)])
    sent = [
        letter(key="a", body=b"1"),
        letter(key="a", body=b"2"),
        letter(key="b", body=b"3"),
        letter(topic=OTHER, key="a", body=b"4"),
        letter(2, key="a", body=b"5"),
    ]
    assert [await mail.send(one) for one in sent] == [Sent.DONE] * 5
    assert said(await waiting(mail, 1, GO, OTHER)) == [(GO, b"1"), (GO, b"3"), (OTHER, b"4")]
    assert said(await waiting(mail, 2)) == [(GO, b"5")]


async def test_a_letter_that_was_taken_or_outlived_its_job_is_known_when_it_comes_again(
    queue: JobQueue, mail: MailStore
) -> None:
    await queue.submit([new_job(1, session=SESSION)])
    await mail.send(letter())
    (piece,) = await waiting(mail)
    taking = Segment(0, 1, b"took", (piece.number,))
    assert await queue.append([(placed(1), taking)]) == [Append.DONE]
    assert await mail.send(letter()) is Sent.DONE
    assert await waiting(mail) == []
    await queue.report([report(1, COMPLETED)], NOW)
    assert await mail.send(letter()) is Sent.DONE
    assert await mail.send(letter(key="another")) is Sent.OVER


@pytest.mark.usefixtures("at_most_three")
async def test_too_much_is_refused_until_some_is_taken(queue: JobQueue, mail: MailStore) -> None:
    await queue.submit([new_job(1, session=SESSION)])
    assert [await mail.send(letter(key=key)) for key in "abc"] == [Sent.DONE] * 3
    assert await mail.send(letter(key="d")) is Sent.FULL
    assert await mail.send(letter(key="d", topic=OTHER)) is Sent.FULL
    assert await mail.send(letter(key="a")) is Sent.DONE, "it is there"
    (first, *_) = await waiting(mail)
    await queue.append([(placed(1), Segment(0, 1, b"t", (first.number,)))])
    assert await mail.send(letter(key="d")) is Sent.DONE
    assert await mail.send(letter(key="e")) is Sent.FULL
    assert len(await waiting(mail)) == 3


@pytest.mark.usefixtures("at_most_three")
async def test_ends_of_children_and_kept_promises_always_come_in(queue: JobQueue, mail: MailStore) -> None:
    await queue.submit([new_job(1), child(2, placed=True)])
    await mail.open_promise(promise())
    for key in "abc":
        await mail.send(letter(key=key))
    await queue.report([report(2, COMPLETED)], NOW)
    assert await mail.complete_promise("p", letter(topic=of_promise("p")))
    topics = ("child:2", of_promise("p"))
    assert [piece.topic for piece in await waiting(mail, 1, *topics)] == list(topics)


async def test_mail_comes_in_the_order_of_its_arrival_and_in_pages(queue: JobQueue, mail: MailStore) -> None:
    await queue.submit([new_job(1)])
    sent = [
        mail.send(letter(topic=GO if number % 3 else OTHER, key=f"{number}", body=b"%d" % number))
        for number in range(9)
    ]
    assert await asyncio.gather(*sent) == [Sent.DONE] * 9
    all_of_it = await mail.mail(JobId(1), (GO, OTHER), 100)
    assert [piece.body for piece in all_of_it] == [b"%d" % number for number in range(9)]
    numbers = [piece.number for piece in all_of_it]
    assert numbers == sorted(set(numbers))
    assert [piece.body for piece in await mail.mail(JobId(1), (OTHER,), 2)] == [b"0", b"3"]
    assert await mail.mail(JobId(1), ("message:",), 100) == []
    assert await mail.mail(JobId(3), (GO,), 100) == []


# -------------------------------------------------------------------- waits


async def test_mail_wakes_the_job_that_is_suspended_for_it(queue: JobQueue, mail: MailStore) -> None:
    await suspended(queue, 1, OTHER, GO)
    before = await the(queue)
    assert (before.state, before.awaits, before.wake_ms) == (JobState.SUSPENDED, (OTHER, GO), NEVER_MS)
    await mail.send(letter(topic="message:third"))
    assert await the(queue) == before
    await mail.send(letter())
    after = await the(queue)
    assert (after.state, after.wake_ms, after.epoch) == (JobState.PENDING, None, before.epoch)
    (claimed,) = await claim(queue, SESSION, 9)
    assert (claimed.id, claimed.epoch) == (1, 2)
    assert (await the(queue)).awaits == ()


async def test_mail_that_was_there_before_leaves_no_job_asleep(queue: JobQueue, mail: MailStore) -> None:
    await queue.submit([new_job(1, session=SESSION), new_job(2, session=SESSION)])
    await mail.send(letter(1))
    await mail.send(letter(2, OTHER))
    assert await queue.report([report(1, WAITS), report(2, WAITS)], NOW) == [True, True]
    assert [(await the(queue, job)).state for job in (1, 2)] == [JobState.PENDING, JobState.SUSPENDED]


@pytest.mark.parametrize("letter_first", [True, False])
async def test_mail_that_comes_while_the_report_is_on_its_way(
    queue: JobQueue, mail: MailStore, *, letter_first: bool
) -> None:
    await queue.submit([new_job(number, session=SESSION) for number in range(1, 41)])
    calls = []
    for number in range(1, 41):
        pair = [lambda n=number: mail.send(letter(n)), lambda n=number: queue.report([report(n, WAITS)], NOW)]
        calls += [call() for call in (pair if letter_first else reversed(pair))]
    await asyncio.gather(*calls)
    assert (await queue.counts())[JobState.PENDING] == 40
    assert sum([len(await queue.claim(SESSION, lane, 99)) for lane in await queue.ready_lanes()]) == 40


async def test_mail_that_is_taken_wakes_nobody(queue: JobQueue, mail: MailStore) -> None:
    await queue.submit([new_job(1, session=SESSION)])
    await mail.send(letter())
    (piece,) = await waiting(mail)
    await queue.append([(placed(1), Segment(0, 1, b"took", (piece.number,)))])
    await queue.report([report(1, WAITS)], NOW)
    assert (await the(queue)).state is JobState.SUSPENDED
    await mail.send(letter())
    assert (await the(queue)).state is JobState.SUSPENDED, "the same letter again"
    await mail.send(letter(key="new"))
    assert (await the(queue)).state is JobState.PENDING


async def test_mail_that_the_reports_own_tail_takes_does_not_count(queue: JobQueue, mail: MailStore) -> None:
    await queue.submit([new_job(1, session=SESSION)])
    await mail.send(letter())
    (piece,) = await waiting(mail)
    tail = Segment(0, 2, b"took it, waits for the next", (piece.number,))
    assert await queue.report([report(1, WAITS, tail=tail)], NOW) == [True]
    assert (await the(queue)).state is JobState.SUSPENDED


async def test_a_wait_with_a_time_out_ends_by_time_or_by_mail(queue: JobQueue, mail: MailStore) -> None:
    await suspended(queue, 1, wake_ms=NOW + 50)
    await suspended(queue, 2, wake_ms=NOW + 60)
    await suspended(queue, 3, wake_ms=NOW)
    assert (await the(queue, 3)).state is JobState.PENDING, "its time is past"
    assert await queue.next_wake() == NOW + 50
    await mail.send(letter(1))
    assert await queue.next_wake() == NOW + 60
    assert (await queue.wake(NOW + 100, 9)).jobs == 1
    assert [(await the(queue, job)).state for job in (1, 2)] == [JobState.PENDING] * 2


async def test_a_job_that_sleeps_for_a_time_is_not_woken_by_mail(queue: JobQueue, mail: MailStore) -> None:
    await reach(queue, 1, JobState.SUSPENDED)
    await mail.send(letter())
    assert (await the(queue)).state is JobState.SUSPENDED


@pytest.mark.parametrize("state", [JobState.CANCELLING, JobState.PAUSING])
async def test_a_wait_reported_by_a_job_that_is_being_stopped(
    queue: JobQueue, mail: MailStore, state: JobState
) -> None:
    await reach(queue, 1, state)
    assert await queue.report([report(1, WAITS)], NOW + 1) == [True]
    job = await the(queue)
    if state is JobState.CANCELLING:
        assert (job.state, job.awaits, job.wake_ms) == (JobState.CANCELLED, (), None)
        assert await mail.send(letter()) is Sent.OVER
        return
    assert (job.state, job.awaits, job.wake_ms) == (JobState.PAUSED, (GO,), NEVER_MS)
    await mail.send(letter())
    assert (await the(queue)).state is JobState.PAUSED
    await queue.resume([JobId(1)], NOW)
    assert (await the(queue)).state is JobState.PENDING


@pytest.mark.parametrize("when", ["before", "while it is paused", "never"])
async def test_a_pause_loses_no_wake_up(queue: JobQueue, mail: MailStore, when: str) -> None:
    await suspended(queue)
    await queue.pause([JobId(1)])
    if when == "while it is paused":
        await mail.send(letter())
    assert (await the(queue)).state is JobState.PAUSED
    await queue.resume([JobId(1)], NOW)
    # It looks for itself: a worker that finds nothing suspends it again.
    assert (await the(queue)).state is JobState.PENDING
    (claimed,) = await claim(queue, SESSION, 1)
    assert await queue.report([report(1, WAITS, epoch=claimed.epoch)], NOW) == [True]
    woken = when == "while it is paused"
    assert (await the(queue)).state is (JobState.PENDING if woken else JobState.SUSPENDED)


async def test_a_revived_job_has_the_mail_that_it_did_not_take(queue: JobQueue, mail: MailStore) -> None:
    await suspended(queue)
    await queue.cancel([JobId(1)], NOW)
    await queue.revive([JobId(1)])
    job = await the(queue)
    assert (job.state, job.attempt) == (JobState.PENDING, 2)
    await mail.send(letter())
    (claimed,) = await claim(queue, SESSION, 1)
    await queue.report([report(1, FAILED, epoch=claimed.epoch)], NOW)
    assert await mail.send(letter(key="another")) is Sent.OVER
    await queue.revive([JobId(1)])
    (claimed,) = await claim(queue, SESSION, 1)
    await queue.report([report(1, WAITS, epoch=claimed.epoch)], NOW)
    assert (await the(queue)).state is JobState.PENDING


# -------------------------------------------------------------------- what journals take


@pytest.mark.parametrize("way", ["append", "tail"])
async def test_mail_is_taken_with_the_entries_that_say_so(queue: JobQueue, mail: MailStore, way: str) -> None:
    await queue.submit([new_job(1, session=SESSION), new_job(2, session=SESSION)])
    for key in "abc":
        await mail.send(letter(1, key=key))
    await mail.send(letter(2))
    first, second, third = await waiting(mail, 1)
    (others,) = await waiting(mail, 2)
    taking = Segment(0, 3, b"took two", (first.number, third.number, others.number))
    if way == "append":
        # Twice: the answer to the first was lost.
        assert await queue.append([(placed(1), taking)] * 2) == [Append.DONE] * 2
    else:
        suspends = report(1, Suspended(NEVER_MS, (OTHER,)), tail=taking)
        assert await queue.report([suspends, suspends], NOW) == [True] * 2
    assert await waiting(mail, 1) == [second]
    assert await waiting(mail, 2) == [others], "what is another job's stays"
    assert await queue.journal(JobId(1), 1) == [Segment(0, 3, b"took two")]


@pytest.mark.parametrize("taking", [Segment(1, 1, b"gap", (1,)), Segment(0, 0, b"", (1,))])
async def test_entries_that_do_not_fit_take_nothing(
    queue: JobQueue, mail: MailStore, taking: Segment
) -> None:
    await queue.submit([new_job(1, session=SESSION)])
    await mail.send(letter())
    (piece,) = await waiting(mail)
    assert piece.number == 1
    assert await queue.append([(placed(1), taking)]) == [Append.GAP]
    assert await queue.report([report(1, WAITS, tail=taking)], NOW) == [False]
    assert await waiting(mail) == [piece]


async def test_entries_of_a_placement_that_is_over_take_nothing(queue: JobQueue, mail: MailStore) -> None:
    await queue.submit([new_job(1, session=SESSION)])
    await queue.append([(placed(1), Segment(0, 1, b"there"))])
    await queue.report([report(1, Released())], NOW)
    await mail.send(letter())
    (piece,) = await waiting(mail)
    taken = (piece.number,)
    # What it wrote is there, and what it would write next fits: neither takes anything any more.
    for late in (Segment(0, 1, b"there", taken), Segment(1, 1, b"late", taken)):
        assert await queue.append([(placed(1), late)]) == [Append.STALE]
        assert await queue.report([report(1, COMPLETED, tail=late)], NOW) == [False]
    await claim(queue, SESSION, 1)
    for late in (Segment(0, 1, b"there", taken), Segment(1, 1, b"late", taken)):
        assert await queue.append([(placed(1), late)]) == [Append.STALE]
        assert await queue.report([report(1, WAITS, tail=late)], NOW) == [False]
    assert await waiting(mail) == [piece]
    assert await queue.append([(placed(1, 2), Segment(1, 1, b"now", taken))]) == [Append.DONE]
    assert await waiting(mail) == []


@pytest.mark.parametrize("state", PLACED)
async def test_a_stopped_guests_last_entries_take_mail_only_where_it_was_to_stop(
    queue: JobQueue, mail: MailStore, state: JobState
) -> None:
    await reach(queue, 1, state)
    await mail.send(letter())
    (piece,) = await waiting(mail)
    stops = state in {JobState.CANCELLING, JobState.PAUSING}
    tail = Segment(0, 1, b"last", (piece.number,))
    assert await queue.report([report(1, Stopped(), tail=tail)], NOW) == [stops]
    assert await waiting(mail) == ([] if stops else [piece])


# -------------------------------------------------------------------- promises


async def test_a_promise_is_kept_as_it_was_opened_first(queue: JobQueue, mail: MailStore) -> None:
    await queue.submit([new_job(1), new_job(2)])
    assert await mail.promise("p") is None
    await mail.open_promise(promise())
    await mail.open_promise(promise(job=2))
    assert await mail.promise("p") == promise()


async def test_a_promise_is_completed_once_and_wakes_its_job(queue: JobQueue, mail: MailStore) -> None:
    await suspended(queue, 1, of_promise("p"))
    await mail.open_promise(promise())
    kept = letter(topic=of_promise("p"), key="", body=b"42", at_ms=NOW + 7)
    answers = await asyncio.gather(*(mail.complete_promise("p", kept) for _ in range(5)))
    assert answers == [True, False, False, False, False]
    assert (await the(queue)).state is JobState.PENDING
    assert said(await waiting(mail, 1, of_promise("p"))) == [(of_promise("p"), b"42")]
    stored = await mail.promise("p")
    assert stored is not None
    assert stored.completed_ms == NOW + 7


async def test_a_broken_promise_says_why(queue: JobQueue, mail: MailStore) -> None:
    await queue.submit([new_job(1)])
    await mail.open_promise(promise())
    why = Failure(kind=FailureKind.PROMISE, message="nobody was there")
    broken = Letter(job=JobId(1), topic=of_promise("p"), key="", at_ms=NOW, failure=why)
    assert await mail.complete_promise("p", broken)
    (piece,) = await waiting(mail, 1, of_promise("p"))
    assert (piece.body, piece.failure) == (None, why)


@pytest.mark.parametrize("state", FINAL)
async def test_a_promise_of_a_job_that_has_ended_is_completed_only_once_that_goes_on(
    queue: JobQueue, mail: MailStore, state: JobState
) -> None:
    await reach(queue, 1, state)
    await mail.open_promise(promise())
    kept = letter(topic=of_promise("p"), key="")
    assert not await mail.complete_promise("p", kept)
    assert not await mail.complete_promise("unknown", kept)
    await queue.revive([JobId(1)])
    assert await mail.complete_promise("p", kept) == (state is not JobState.COMPLETED)


async def test_promises_and_mail_go_with_their_job(queue: JobQueue, mail: MailStore) -> None:
    await queue.submit([new_job(1)])
    await mail.open_promise(promise())
    await mail.send(letter())
    await queue.cancel([JobId(1)], NOW)
    await queue.delete([JobId(1)])
    assert await mail.promise("p") is None
    await queue.submit([new_job(1)])
    assert await waiting(mail) == []


# -------------------------------------------------------------------- what users see


async def test_progress_is_of_the_present_placement(queue: JobQueue, mail: MailStore) -> None:
    await queue.submit([new_job(1, session=SESSION)])
    half = Progress(text="half way", done=1, total=2)
    await mail.progress(placed(1), half)
    assert (await the(queue)).progress == half
    await mail.progress(placed(1, 2), Progress(text="of a placement to come"))
    await mail.progress(placed(9), Progress(text="of no job"))
    await queue.report([report(1, PARKED)], NOW)
    await mail.progress(placed(1), Progress(text="late"))
    assert (await the(queue)).progress == half, "it is shown as long as nobody says more"


async def test_metadata_changes_and_jobs_are_found_by_it(queue: JobQueue, mail: MailStore) -> None:
    options = child(2).options
    await queue.submit([new_job(1), new_job(2, options=options)])

    async def found(term: str) -> list[int]:
        which = JobFilter(namespace=options.lane.namespace, terms=(term,))
        return sorted(job.id for job in await queue.list_jobs(which))

    await mail.annotate(JobId(1), {"stage": "one", "run": "7", 'it"s': "a = b"})
    await mail.annotate(JobId(2), {"stage": "one"})
    await mail.annotate(JobId(3), {"stage": "one"})
    assert await found("stage=one") == [1, 2]
    assert await found('it"s=a = b') == [1]
    await mail.annotate(JobId(1), {"stage": "two", "run": None, "absent": None})
    job = await the(queue)
    assert job.options.metadata == (('it"s', "a = b"), ("stage", "two"))
    assert terms(job.options) == ['it"s=a = b', "stage=two"]
    assert [await found(term) for term in ("stage=one", "stage=two", "run=7")] == [[2], [1], []]
    await mail.annotate(JobId(1), {"stage": "two"})
    assert await found("stage=two") == [1]

"""A client of an engine's service: its lease, what it is told, and what is kept until it has seen it."""

import asyncio

import pytest

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Completed
from mvm_ci.engine.service.client import ASK_MS, MAX_UNSEEN, Client
from mvm_ci.ports.engine import Ended
from mvm_ci.testing.clock import FakeClock, settle
from mvm_ci.wire import engine as w
from mvm_ci.wire.engine import SAY_MS

ROOM = w.Room("engine", 1, 4, 1)


def placed(job: int) -> Placed:
    return Placed(JobId(job), 1)


def end(job: int) -> Ended:
    return Ended(placed=placed(job), outcome=Completed(b"null"), run_ns=job)


class Followed:
    """A client that is followed, and what it was told."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.all_seen = 0
        self.client = Client("c" * 32, "", self.clock, self._seen)
        self.stream = self.client.follow()

    def _seen(self) -> None:
        self.all_seen += 1

    def told(self) -> list[w.Event]:
        return self.client.take(ROOM)

    def question(self) -> int:
        (number,) = [event.number for event in self.told() if isinstance(event, w.LeaseWanted)]
        return number


@pytest.fixture
def followed() -> Followed:
    return Followed()


# -------------------------------------------------------------------- the lease


async def test_a_lease_counts_from_the_question(followed: Followed) -> None:
    number = followed.question()
    followed.clock.jump(700)
    followed.client.answered(number, 1_000)
    assert followed.client.valid()
    followed.clock.jump(299)
    assert followed.client.valid()
    followed.clock.jump(1)
    assert not followed.client.valid()


async def test_nothing_is_valid_before_the_first_answer_or_by_one_to_no_question(followed: Followed) -> None:
    assert not followed.client.valid()
    number = followed.question()
    followed.client.answered(number + 1, 60_000)
    assert not followed.client.valid()
    followed.client.answered(number, 1_000)
    followed.client.answered(number, 60_000)  # said twice: it was asked once
    followed.clock.jump(1_000)
    assert not followed.client.valid()


async def test_an_answer_that_was_overtaken_does_not_count(followed: Followed) -> None:
    first = followed.question()
    followed.clock.jump(SAY_MS)
    second = followed.question()
    followed.client.answered(second, 0)
    followed.client.answered(first, 60_000)
    assert not followed.client.valid()


async def test_a_question_of_a_stream_before_is_not_answered(followed: Followed) -> None:
    number = followed.question()
    followed.client.follow()
    followed.client.answered(number, 60_000)
    assert not followed.client.valid()
    assert followed.question() > number


async def test_who_waits_goes_on_with_the_answer_and_is_asked_for_at_once(followed: Followed) -> None:
    followed.client.answered(followed.question(), 0)
    waiting = asyncio.create_task(followed.client.wait_valid())
    await settle()
    followed.clock.jump(ASK_MS)
    number = followed.question()
    assert not waiting.done()
    followed.client.answered(number, 1_000)
    await waiting


async def test_it_is_asked_for_again_long_before_it_is_over_and_not_all_the_time(followed: Followed) -> None:
    followed.client.answered(followed.question(), 4_000)
    followed.clock.jump(1_999)
    assert not followed.told()[2:]
    followed.clock.jump(1)
    assert followed.question()
    followed.client.ask_soon()
    assert not followed.told()
    followed.clock.jump(ASK_MS)
    assert followed.question()


async def test_an_engine_that_hangs_up_lets_nothing_leave(followed: Followed) -> None:
    followed.client.answered(followed.question(), 60_000)
    followed.client.hang_up()
    assert not followed.client.valid()
    assert not followed.client.follows(followed.stream)


# -------------------------------------------------------------------- what it is told


async def test_something_is_said_so_often_that_silence_means_a_loss(followed: Followed) -> None:
    followed.told()
    waiting = asyncio.create_task(followed.client.ready())
    await followed.clock.until_sleeping(1)
    await followed.clock.advance(SAY_MS)
    await waiting
    assert followed.told()


async def test_the_room_is_told_when_it_changes(followed: Followed) -> None:
    assert ROOM in followed.told()
    assert ROOM not in followed.told()
    other = w.Room("engine", 1, 4, 0)
    assert followed.client.take(other) == [other]


async def test_ends_are_told_again_until_they_are_seen(followed: Followed) -> None:
    client = followed.client
    client.placements.update({placed(1), placed(2), placed(3)})
    client.ended([end(1), end(2)])
    client.ended([end(3)])
    first, second = (event for event in followed.told() if isinstance(event, w.Ended))
    assert (first.number, second.number, first.run_ns) == (1, 2, (1, 2))
    assert (client.unseen, followed.all_seen, client.placements) == (3, 0, set())
    client.seen(1)
    client.follow()
    told = followed.told()
    assert [event for event in told if isinstance(event, w.Ended)] == [second]
    assert next(event for event in told if isinstance(event, w.Has)).placements == (placed(3),)
    client.seen(2)
    assert (client.unseen, followed.all_seen) == (0, 1)


async def test_a_start_that_was_told_on_a_lost_stream_is_told_again(followed: Followed) -> None:
    client = followed.client
    client.placements.update({placed(1), placed(2), placed(3)})
    client.started([placed(1), placed(2)])
    assert w.Started((placed(1), placed(2))) in followed.told()
    client.ended([end(2)])
    client.follow()
    told = followed.told()
    assert w.Started((placed(1),)) in told
    # It is told what is there before it is told that it runs, and how it ended after that.
    assert [type(event) for event in told[:4]] == [w.Room, w.Has, w.Started, w.Ended]
    client.gone([placed(1)])
    client.follow()
    assert not [event for event in followed.told() if isinstance(event, w.Started)]


async def test_too_many_ends_that_nobody_has_seen(followed: Followed) -> None:
    followed.client.ended([end(job) for job in range(MAX_UNSEEN - 1)])
    assert not followed.client.full
    followed.client.ended([end(MAX_UNSEEN)])
    assert followed.client.full
    events = [event for event in followed.told() if isinstance(event, w.Ended)]
    # No event is as large as all of them.
    assert max(len(event.items) for event in events) <= 64
    followed.client.seen(events[0].number)
    assert not followed.client.full


async def test_the_newest_stream_counts(followed: Followed) -> None:
    newer = followed.client.follow()
    assert not followed.client.follows(followed.stream)
    followed.client.left(followed.stream)
    assert followed.client.follows(newer)
    followed.clock.jump(5)
    followed.client.left(newer)
    assert not followed.client.followed
    assert followed.client.silent_since == followed.clock.lease_ms()


async def test_an_older_stream_that_wakes_takes_nothing_from_the_newer_one(followed: Followed) -> None:
    followed.told()
    older = asyncio.create_task(followed.client.ready())
    await followed.clock.until_sleeping(1)
    followed.client.follow()
    followed.told()
    followed.client.started([placed(1)])
    await older
    newer = asyncio.create_task(followed.client.ready())
    await settle()
    assert newer.done()
    assert followed.told() == [w.Started((placed(1),))]


async def test_people_see_the_beginning_of_its_name() -> None:
    client = Client("0123456789abcdef" * 2, "", FakeClock(), lambda: None)
    assert client.shown == "01234567"

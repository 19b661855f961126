"""Who counts as quick, and for how long."""

import asyncio
from typing import Any, cast

import pytest

from mvm_ci.domain.segment import Segment
from mvm_ci.engine.crew import Crew
from mvm_ci.engine.live import Live
from mvm_ci.engine.messages import Post
from mvm_ci.engine.seat import SLOT_NS, Seat
from tests.unit.engine.lives import MODULE, live

POST = Post(1, Segment(0, 1, b"x"))


class Owner:
    """Hears that entries were posted, and does nothing about it."""

    def on_post(self, one: Live, message: Post) -> None:
        one.posted.append(message.segment)


class Desk:
    """A crew whose runners say what a test says; the guest ``one`` of a quick module is with the first."""

    def __init__(self) -> None:
        self.crew = Crew(1, cast("Any", None), cast("Any", Owner()))
        self.seat: Seat = self.crew.seats[0]
        self.seat.usable = True
        self.crew._times.observe(MODULE, 1_000)
        self.one = live(1)
        self.crew.add(self.one)

    def posts(self) -> None:
        self.crew._said(self.seat, self.one, POST)

    def durable(self) -> None:
        self.one.posted.clear()
        self.crew.durable(self.one)

    @property
    def whole(self) -> bool:
        return self.seat.load_ns == SLOT_NS


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    await asyncio.sleep(0)
    assert desk.seat.tasks == {1: desk.one}
    return desk


async def test_who_computes_for_two_looks_takes_a_whole_slot(desk: Desk) -> None:
    assert desk.crew.overdue() == []
    assert not desk.whole
    assert desk.crew.overdue() == [desk.one]
    assert desk.whole
    assert desk.crew.overdue() == []


async def test_who_rests_at_a_look_is_looked_at_again(desk: Desk) -> None:
    desk.crew.overdue()
    desk.posts()
    for _ in range(5):
        desk.crew.overdue()
    assert desk.seat.load_ns == 0
    desk.durable()
    desk.crew.overdue()
    assert not desk.whole
    for _ in range(3):
        desk.crew.overdue()
    assert desk.whole, "it has computed for a while since then"


async def test_many_short_turns_are_not_a_long_one(desk: Desk) -> None:
    for _ in range(20):
        desk.crew.overdue()
        desk.posts()
        desk.durable()
        assert not desk.whole

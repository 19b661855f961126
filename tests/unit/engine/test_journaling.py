"""Segments on their way: one at a time for each placement, and what follows from each answer."""

import asyncio
from collections.abc import Callable

import pytest

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.job import Placed
from mvm_ci.domain.segment import Append, Segment
from mvm_ci.engine.journaling import Journaling
from mvm_ci.engine.live import Live
from mvm_ci.testing.clock import settle
from tests.unit.engine.lives import live


class Sink:
    """Answers when a test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[Placed, Segment]] = []
        self.answers: list[asyncio.Future[Append]] = []

    def append(self, placed: Placed, segment: Segment) -> asyncio.Future[Append]:
        self.asked.append((placed, segment))
        self.answers.append(asyncio.get_running_loop().create_future())
        return self.answers[-1]


class Desk:
    """A journaling, and what it tells."""

    def __init__(self) -> None:
        self.sink = Sink()
        self.told: list[tuple[str, int, int]] = []
        names = ("durable", "refused", "broken", "drained")
        tells = {name: self._teller(name) for name in names}
        self.journaling = Journaling(self.sink, **tells)

    def _teller(self, name: str) -> Callable[[Live], None]:
        def tell(one: Live) -> None:
            self.told.append((name, one.number, one.acked))

        return tell


def segment(first: int) -> Segment:
    return Segment(first, 1, b"x")


@pytest.fixture
async def desk() -> Desk:
    return Desk()


async def test_the_next_one_leaves_when_the_one_ahead_is_durable(desk: Desk) -> None:
    one, other = live(1), live(2)
    for first in range(3):
        desk.journaling.post(one, segment(first))
    desk.journaling.post(other, segment(0))
    assert [(placed.job, sent.first) for placed, sent in desk.sink.asked] == [(1, 0), (2, 0)]
    desk.sink.answers[0].set_result(Append.DONE)
    await settle()
    assert [(placed.job, sent.first) for placed, sent in desk.sink.asked[2:]] == [(1, 1)]
    assert desk.told == [("durable", 1, 1)]
    for _ in range(2):
        desk.sink.answers[-1].set_result(Append.DONE)
        await settle()
    assert desk.told == [("durable", 1, 1), ("durable", 1, 2), ("durable", 1, 3), ("drained", 1, 3)]
    assert [sent.first for sent in one.durable] == [0, 1, 2]
    assert one.appending is None
    assert other.appending is not None


@pytest.mark.parametrize("answer", [Append.STALE, Append.GAP])
async def test_a_refused_one_ends_the_way_of_all_behind_it(desk: Desk, answer: Append) -> None:
    one = live(1)
    desk.journaling.post(one, segment(0))
    desk.journaling.post(one, segment(1))
    desk.sink.answers[0].set_result(answer)
    await settle()
    assert desk.told == [("refused", 1, 0)]
    assert len(desk.sink.asked) == 1
    assert one.durable == []


async def test_a_sink_that_fails_is_told_of_also_if_it_did_so_at_once(desk: Desk) -> None:
    for number, fails in ((1, False), (2, True)):
        one = live(number)
        if fails:
            failed = asyncio.get_running_loop().create_future()
            failed.set_exception(Unavailable("closed"))
            desk.sink.append = lambda *_, failed=failed: failed  # type: ignore[method-assign]
        desk.journaling.post(one, segment(0))
        if not fails:
            desk.sink.answers[0].set_exception(Unavailable("closed"))
        await settle()
    assert desk.told == [("broken", 1, 0), ("broken", 2, 0)]


async def test_what_is_given_up_is_told_nothing_of_not_even_an_answer_on_its_way(desk: Desk) -> None:
    one, two = live(1), live(2)
    for each in (one, two):
        desk.journaling.post(each, segment(0))
    desk.sink.answers[0].set_result(Append.DONE)
    for each in (one, two):
        each.stop_appending()
    await settle()
    assert desk.told == []
    assert desk.sink.answers[1].cancelled()

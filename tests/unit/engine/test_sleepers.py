"""Waiting for a time of a clock that may be set."""

import time

import pytest

from mvm_ci.engine.sleepers import Sleepers

S = 1_000_000_000


class Clocks:
    def __init__(self) -> None:
        self.wall, self.running = 1_000 * S, 50 * S

    def pass_(self, ns: int) -> None:
        self.wall += ns
        self.running += ns


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    clocks = Clocks()
    monkeypatch.setattr(time, "time_ns", lambda: clocks.wall)
    monkeypatch.setattr(time, "clock_gettime_ns", lambda _: clocks.running)
    return clocks


def test_who_waits_is_due_when_his_time_has_come_earliest_first(clocks: Clocks) -> None:
    sleepers: Sleepers[str] = Sleepers()
    assert sleepers.next_s() is None
    for name, seconds in (("b", 2), ("a", 1), ("c", 2)):
        sleepers.add(clocks.wall + seconds * S, name)
    clocks.pass_(S // 2)
    assert (sleepers.due(), sleepers.next_s()) == ([], 0.5)
    clocks.pass_(S // 2)
    assert sleepers.due() == ["a"]
    clocks.pass_(S)
    assert sleepers.due() == ["b", "c"]
    assert (len(sleepers), sleepers.next_s()) == (0, None)


def test_a_long_wait_is_looked_at_again_before_its_end(clocks: Clocks) -> None:
    sleepers: Sleepers[str] = Sleepers()
    sleepers.add(clocks.wall + 3_600 * S, "a")
    assert sleepers.next_s() == 1.0


@pytest.mark.parametrize(("set_by", "lasts"), [(0, 10), (-3_600, 10), (5, 5), (3_600, 0)])
def test_a_wait_ends_by_the_wall_clock_or_when_its_time_has_passed(
    clocks: Clocks, set_by: int, lasts: int
) -> None:
    sleepers: Sleepers[str] = Sleepers()
    sleepers.add(clocks.wall + 10 * S, "a")
    clocks.wall += set_by * S
    waited = 0
    while not sleepers.due():
        clocks.pass_(S)
        waited += 1
    assert waited == lasts


def test_a_clock_that_is_set_twice(clocks: Clocks) -> None:
    sleepers: Sleepers[str] = Sleepers()
    sleepers.add(clocks.wall + 10 * S, "a")
    clocks.wall -= 100 * S
    assert sleepers.due() == []
    clocks.wall += 109 * S
    assert sleepers.due() == []
    clocks.pass_(S)
    assert sleepers.due() == ["a"]


def test_who_leaves_waits_no_more(clocks: Clocks) -> None:
    sleepers: Sleepers[str] = Sleepers()
    names = ["a", "b", "c"]
    for name in names:
        sleepers.add(clocks.wall + S, name)
    sleepers.remove(names[1])
    sleepers.remove("not there")
    clocks.pass_(S)
    assert sleepers.due() == ["a", "c"]

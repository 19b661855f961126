"""Time is over when it is over, once."""

from mvm_ci.engine.deadlines import Deadlines
from tests.unit.engine.lives import live


def test_each_deadline_that_passed_is_told_once() -> None:
    deadlines = Deadlines()
    first, second, third = (live(number) for number in (1, 2, 3))
    deadlines.add(second, 20)
    deadlines.add(first, 10)
    deadlines.add(third, 30)
    assert deadlines.passed(10) == []
    assert deadlines.passed(25) == [second, first]
    assert deadlines.passed(25) == []
    assert deadlines
    assert deadlines.passed(31) == [third]
    assert not deadlines


def test_what_happened_in_time_is_not_told() -> None:
    deadlines = Deadlines()
    one, other = live(1), live(2)
    deadlines.add(one, 10)
    deadlines.add(other, 50)
    deadlines.discard(one)
    deadlines.discard(one)
    assert deadlines.passed(20) == []
    assert list(deadlines) == [other]


def test_a_deadline_can_be_moved() -> None:
    deadlines = Deadlines()
    one = live(1)
    deadlines.add(one, 10)
    deadlines.add(one, 30)
    assert deadlines.passed(20) == []
    assert deadlines.passed(31) == [one]

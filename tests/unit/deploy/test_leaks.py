"""A leak is found, and nothing else is taken for one."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from mvm_ci.deploy.validation.leaks import LIMITS, Growth, growth

HALF_AN_HOUR = 1800.0
Course = Callable[[float], float]


def judged(course: Course, name: str = "memory", seconds: float = HALF_AN_HOUR) -> Growth:
    points = [(at * 5.0, course(at * 5.0)) for at in range(int(seconds / 5))]
    found = growth(name, points)
    assert found is not None
    return found


def noisy(course: Course, spread: float, seed: int) -> Course:
    chance = random.Random(seed)
    return lambda at: course(at) + chance.uniform(0, spread)


@pytest.mark.parametrize("seed", range(20))
def test_steady_growth_is_a_leak_in_any_noise_that_comes_and_goes(seed: int) -> None:
    # 1.5 MiB a minute.
    found = judged(noisy(lambda at: 80 + at / 40, 20, seed))
    assert found.leak
    assert found.per_hour == pytest.approx(90, rel=0.35)
    assert "LEAK: memory" in found.told()


@pytest.mark.parametrize("seed", range(200))
def test_noise_is_none(seed: int) -> None:
    assert not judged(noisy(lambda at: 80, 60, seed)).leak


@pytest.mark.parametrize("period", [40, 150, 400])
def test_neither_is_what_grows_and_is_freed_again(period: float) -> None:
    assert not judged(lambda at: 80 + at % period).leak


@pytest.mark.parametrize(
    "course",
    [
        pytest.param(lambda at: 80 + min(at, 300) / 2, id="in the first fifth"),
        pytest.param(lambda at: 80 + min(at, 600) / 10, id="later"),
        pytest.param(lambda at: 80 if at < 1000 else 180, id="at once"),
        pytest.param(lambda at: 180 - at / 20, id="falling"),
    ],
)
def test_neither_is_what_fills_up_and_then_stays(course: Course) -> None:
    assert not judged(course).leak


def test_a_leak_in_steps_is_one() -> None:
    assert judged(lambda at: 80 + 20 * (at // 240)).leak


def test_small_things_may_grow_a_little() -> None:
    assert not judged(lambda at: 30 + at / 200, "files").leak
    assert judged(lambda at: 30 + at / 20, "files").leak


def test_of_large_things_more_may_come() -> None:
    grows: Course = lambda at: 2000 + at / 20  # noqa: E731 - as short as the others
    assert not judged(grows).leak
    assert judged(lambda at: grows(at) - 1900).leak


def test_a_longer_run_finds_a_slower_leak() -> None:
    slow: Course = lambda at: 80 + at / 200  # noqa: E731 - as short as the others
    assert not judged(slow).leak
    assert judged(slow, seconds=4 * HALF_AN_HOUR).leak


def test_too_few_points_tell_nothing() -> None:
    assert growth("memory", [(float(at), 1.0) for at in range(5)]) is None
    assert growth("memory", [(0.0, 1.0)] * 50) is None, "they are of one moment"


def test_points_that_leave_a_span_out_tell_nothing() -> None:
    assert growth("memory", [(float(at), 1.0) for at in (*range(20), *range(5000, 5020))]) is None


def test_every_figure_has_a_limit_of_its_own() -> None:
    assert all(limit.floor > 0 and limit.share > 0 for limit in LIMITS.values())
    titles = sorted(limit.title for limit in LIMITS.values())
    assert all(one != other for one, other in pairwise(titles))

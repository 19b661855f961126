"""Growth is told from scatter."""

from __future__ import annotations

import math
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.capacity.growth import LEAST, SHORTEST_S, grown
from mvm_ci.capacity.results import Grown

HOUR_S = 3600.0


def points(per_hour: float, scatter: float = 0.0, number: int = 360) -> list[tuple[float, float]]:
    """Half an hour; the scatter goes up and down in turns."""
    every_s = HOUR_S / 2 / number
    return [
        (at * every_s, 100 + per_hour * at * every_s / HOUR_S + scatter * math.sin(at))
        for at in range(number)
    ]


def memory(of: list[tuple[float, float]]) -> Grown:
    found = grown("workers", "memory", of)
    assert found is not None
    return found


@given(st.floats(-20, 20), st.floats(5, 50))
def test_the_slope_is_found_through_scatter(per_hour: float, scatter: float) -> None:
    found = memory(points(per_hour, scatter))
    assert found.per_hour == pytest.approx(per_hour, abs=scatter / 2)
    assert found.within_noise == (found.per_hour <= found.noise_per_hour)


def test_what_grows_by_more_than_it_scatters_is_not_noise() -> None:
    assert not memory(points(100, 2)).within_noise
    assert memory(points(100, 50)).within_noise


def test_what_nobody_could_tell_is_noise() -> None:
    """3 MiB in 24 minutes, with no scatter at all."""
    assert memory(points(3 / 0.4)).within_noise
    assert not memory(points(6 / 0.4)).within_noise


def test_what_shrinks_does_not_grow() -> None:
    assert memory(points(-100)).within_noise


def test_a_warm_up_is_left_out() -> None:
    steps = count()
    filling = [(at, min(next(steps), 70) * 1.0) for at, _ in points(0)]
    found = memory(filling)
    assert found.per_hour == 0
    assert found.within_noise


def test_a_jump_that_stays_is_not_growth() -> None:
    assert memory([(at, value + 50 * (at > 900)) for at, value in points(0, 1)]).within_noise


def test_a_short_time_tells_nothing() -> None:
    short = [(at / 4, value) for at, value in points(100)]
    assert short[-1][0] < SHORTEST_S
    assert grown("workers", "memory", short) is None


def test_few_points_tell_nothing() -> None:
    assert grown("workers", "memory", points(5, number=LEAST - 1)) is None
    assert grown("workers", "memory", points(5, number=LEAST)) is not None


def test_a_result_keeps_few_points_of_many() -> None:
    assert len(memory(points(0, number=10_000)).points) <= 300

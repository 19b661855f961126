"""Whether throughput has a trend."""

from __future__ import annotations

import random

import pytest

from mvm_ci.loadtest.steady import LEAST, MOST, slices, steady, trend


def noise(seed: int, count: int = 20, mean: float = 100, scatter: float = 10) -> list[float]:
    chance = random.Random(seed)
    return [chance.gauss(mean, scatter) for _ in range(count)]


def test_noise_is_steady() -> None:
    # The test's own error is 1 of 100; the seeds are fixed.
    assert sum(not steady(noise(seed)) for seed in range(200)) <= 4


@pytest.mark.parametrize("change", [-0.6, 0.6])
def test_what_grows_or_falls_is_not(change: float) -> None:
    for seed in range(50):
        values = [value + 100 * change * at / 20 for at, value in enumerate(noise(seed))]
        assert not steady(values)


def test_a_trend_that_does_not_matter_is_none() -> None:
    values = [1000 + at for at in range(20)]
    assert trend(values) > 5
    assert steady(values)


def test_a_warm_up_is_not_steady_and_what_follows_is() -> None:
    warming = [100 * (1 - 0.5**at) for at in range(8)]
    assert not steady(warming + noise(1, 4, scatter=1))
    assert steady(noise(1))


def test_a_single_strange_slice_is_no_trend() -> None:
    values = noise(3)
    values[-1] = 1_000
    assert steady(values)


def test_too_little_tells_nothing() -> None:
    assert not steady([100.0] * (LEAST - 1))
    assert steady([100.0] * LEAST)
    assert not steady([0.0] * 20)


def test_equal_values_have_no_trend() -> None:
    assert trend([5.0] * 10) == 0
    assert trend([1.0]) == 0


def test_many_slices_become_fewer_with_the_same_mean() -> None:
    counts = [at % 7 for at in range(1000)]
    merged = slices(counts)
    assert len(merged) == MOST
    assert sum(merged) / MOST == pytest.approx(sum(counts) / len(counts))
    assert slices([1, 2, 3]) == [1.0, 2.0, 3.0]

"""Distributions of a stub's latencies."""

from __future__ import annotations

import statistics

import pytest

from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.statistics import quantile
from mvm_ci.loadtest.delays import LONGEST_MS, Delays

COUNT = 50_000


def drawn(text: str, seed: int = 1) -> list[float]:
    """Milliseconds, in order."""
    delays = Delays(text, seed)
    return sorted(delays.next_s() * 1000 for _ in range(COUNT))


def test_a_fixed_one() -> None:
    assert set(drawn("fixed:20ms")) == {20.0}
    assert set(drawn("fixed:0ms")) == {0.0}


def test_an_exponential_one_has_its_mean_and_its_percentiles() -> None:
    values = drawn("exponential:20ms")
    assert statistics.fmean(values) == pytest.approx(20, rel=0.03)
    assert quantile(values, 0.99) == pytest.approx(92.1, rel=0.05)


@pytest.mark.parametrize(("mean", "p99"), [(20, 50), (20, 100), (5, 60)])
def test_a_lognormal_one_has_its_mean_and_its_p99(mean: float, p99: float) -> None:
    values = drawn(f"lognormal:{mean}ms,p99={p99}ms")
    assert statistics.fmean(values) == pytest.approx(mean, rel=0.05)
    assert quantile(values, 0.99) == pytest.approx(p99, rel=0.08)


def test_the_same_seed_gives_the_same_times() -> None:
    assert drawn("exponential:20ms", 7) == drawn("exponential:20ms", 7)
    assert drawn("exponential:20ms", 7) != drawn("exponential:20ms", 8)


def test_none_takes_for_ever() -> None:
    assert max(drawn(f"exponential:{LONGEST_MS:g}ms")) == LONGEST_MS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20ms",
        "fixed:20",
        "fixed:20s",
        "fixed:-1ms",
        "fixed:20ms,p99=30ms",
        "lognormal:20ms",
        "lognormal:20ms,p99=20ms",
        "lognormal:20ms,p99=400ms",
        "exponential:0ms",
        "fixed:30001ms",
        "uniform:20ms",
    ],
)
def test_what_is_none_is_named(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        Delays(text, 0)
    assert repr(text) in str(refused.value)

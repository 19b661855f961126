"""Quantiles and slopes of measured values."""

from __future__ import annotations

import pytest

from mvm_ci.domain.statistics import Summary, quantile, slope, summary


def test_a_quantile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(1, 101)]
    assert [quantile(values, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1, 50, 99, 100]
    assert quantile([7.0], 0.99) == 7


def test_there_is_none_of_no_values() -> None:
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)
    assert summary([]) == Summary(count=0, p50=0, p99=0, largest=0)


def test_values_come_in_any_order() -> None:
    assert summary([3.0, 1.0, 2.0]) == Summary(count=3, p50=2, p99=3, largest=3)


def test_a_slope_is_not_moved_by_a_few_strange_values() -> None:
    line = [(float(at), 2.0 * at + 1) for at in range(1000)]
    assert slope(line) == pytest.approx(2)
    line[::50] = [(at, 10_000.0) for at, _ in line[::50]]
    assert slope(line) == pytest.approx(2, rel=0.1)


def test_one_moment_has_no_slope() -> None:
    assert slope([(1.0, 5.0), (1.0, 9.0)]) == 0
    assert slope([]) == 0

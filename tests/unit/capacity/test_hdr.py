"""The histogram of latencies, against exact quantiles."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.capacity.hdr import HIGHEST_MS, LOWEST_MS, PRECISION, Histogram
from mvm_ci.capacity.results import Latency
from mvm_ci.domain.statistics import quantile

LATENCIES = st.floats(min_value=LOWEST_MS, max_value=HIGHEST_MS)
# As latencies are: spread over orders of magnitude.
SPREAD = st.floats(math.log(LOWEST_MS), math.log(HIGHEST_MS)).map(
    lambda log: min(max(math.exp(log), LOWEST_MS), HIGHEST_MS)
)
SHARES = st.floats(min_value=0, max_value=1)


def histogram(values: list[float]) -> Histogram:
    made = Histogram()
    for value in values:
        made.add(value)
    return made


@given(st.lists(LATENCIES | SPREAD, min_size=1), SHARES)
def test_quantiles_are_as_exact_as_promised(values: list[float], share: float) -> None:
    found = histogram(values).quantile(share)
    assert found == pytest.approx(quantile(sorted(values), share), rel=PRECISION)


@given(st.lists(SPREAD, min_size=1))
def test_mean_and_largest_are_exact(values: list[float]) -> None:
    made = histogram(values)
    assert made.largest == max(values)
    assert made.mean == pytest.approx(sum(values) / len(values))


@given(st.lists(SPREAD), st.lists(SPREAD))
def test_merged_ones_are_as_if_all_were_added_to_one(some: list[float], more: list[float]) -> None:
    merged, one = histogram(some), histogram(some + more)
    merged.merge(histogram(more))
    assert merged.buckets == one.buckets
    assert (merged.count, merged.largest) == (one.count, one.largest)
    assert merged.mean == pytest.approx(one.mean)


@given(st.lists(SPREAD))
def test_what_was_written_down_is_read_again(values: list[float]) -> None:
    latency = histogram(values).latency()
    read = msgspec.json.decode(msgspec.json.encode(latency), type=Latency)
    again = Histogram.of(read).latency()
    assert again.buckets == latency.buckets
    assert (again.p50, again.p99, again.p999) == (latency.p50, latency.p99, latency.p999)
    assert again.mean == pytest.approx(latency.mean)


@given(SPREAD, st.integers(1, 1000))
def test_many_at_once_are_many_one_by_one(value: float, count: int) -> None:
    made = Histogram()
    made.add(value, count)
    assert made.buckets == histogram([value] * count).buckets
    assert made.mean == pytest.approx(value)


@given(st.lists(SPREAD, min_size=1))
def test_it_takes_little_room(values: list[float]) -> None:
    assert all(0 <= index < 4_300 for index in histogram(values).buckets)


def test_of_no_values_all_is_zero() -> None:
    assert Histogram().latency() == Latency()


def test_what_is_out_of_range_counts_as_its_end() -> None:
    made = histogram([0.0, 1e12])
    assert made.quantile(0) == pytest.approx(LOWEST_MS, rel=PRECISION)
    assert made.quantile(1) == pytest.approx(HIGHEST_MS, rel=PRECISION)


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_what_is_no_time_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="milliseconds"):
        Histogram().add(value)

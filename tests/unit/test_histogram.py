"""Histograms: what falls where, one by one and many at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.domain.histogram import LAG_S, Histogram
from mvm_ci.engine.service.guests import WAIT_S
from mvm_ci.lifecycle.job_times import JOB_S
from mvm_ci.ports.store_figures import COMMIT_S


def test_a_bound_is_the_upper_end_of_its_bucket() -> None:
    found = Histogram((1.0, 2.0))
    for value in (0.0, 1.0, 1.001, 2.0, 2.001, 1e9):
        found.add(value)
    assert found.cumulative() == [2, 4, 6]
    assert found.count == 6
    assert found.total == pytest.approx(1e9 + 6.002)


@given(st.lists(st.lists(st.floats(0, 10), max_size=20), max_size=5))
def test_many_at_once_count_as_one_by_one(batches: list[list[float]]) -> None:
    single, many = Histogram(LAG_S), Histogram(LAG_S)
    for batch in batches:
        many.add_all(batch)
        for value in batch:
            single.add(value)
    assert many.cumulative() == single.cumulative()
    assert many.total == pytest.approx(single.total)


@pytest.mark.parametrize("bounds", [LAG_S, WAIT_S, JOB_S, COMMIT_S])
def test_bounds_grow_and_are_few(bounds: tuple[float, ...]) -> None:
    assert list(bounds) == sorted(set(bounds))
    assert len(bounds) <= 20


@pytest.mark.parametrize("bounds", [JOB_S, WAIT_S])
def test_the_objective_of_a_waiting_job_is_a_bound(bounds: tuple[float, ...]) -> None:
    assert 0.25 in bounds  # else no query could tell how many met it

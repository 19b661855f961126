"""Measured loads bound the headroom from both sides."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvm_ci.capacity.curve import curves
from mvm_ci.capacity.headroom import grown, headroom, leaving_free, loads
from mvm_ci.capacity.objective import DEFAULT
from mvm_ci.capacity.results import Loop
from tests.unit.capacity.recorded import ramp, recorded, run, step

sizes = st.integers(1, 5000)
speeds = st.floats(0.01, 50_000)


def test_what_fits_and_what_breaks_bound_it() -> None:
    measured = loads(curves([recorded("clear-yes.json")], DEFAULT)[:1])
    found = headroom(measured, 10, 100)
    assert found.least == pytest.approx(2 / 3)
    assert found.most == pytest.approx(0.8)
    assert found.fits is not None
    assert str(found.fits) == "30 workers with 300 jobs/s: 162.8 ms"
    assert found.breaks is not None
    assert found.breaks.workers == 50


def test_the_scarcer_of_workers_and_rate_counts() -> None:
    measured = loads(curves([recorded("clear-no.json")], DEFAULT)[:1])
    assert headroom(measured, 10, 900).least == pytest.approx(0.1)
    assert headroom(measured, 90, 100).least == pytest.approx(0.1)
    assert headroom(measured, 200, 100).least == pytest.approx(-1)
    assert headroom(measured, 10, 100).most is None
    assert headroom((), 10, 100).least is None


def test_jobs_by_the_batch_are_left_out() -> None:
    assert loads(curves([run(*ramp(batch=10))], DEFAULT)) == ()


@pytest.mark.parametrize(
    ("fields", "met", "counts"),
    [
        ({"in_flight": 1000}, False, False),
        ({"in_flight": 1000}, True, True),
        ({"in_flight": 40, "slots": 4}, False, True),
        ({"in_flight": 41, "slots": 4}, False, False),
        ({"loop": Loop.OPEN, "rate": 900.0}, False, True),
    ],
)
def test_who_waits_for_a_slot_shows_nothing_against_the_engine(
    fields: dict[str, Any], *, met: bool, counts: bool
) -> None:
    p99 = 100 if met else 900
    alone = [step(10, jobs_per_s=90, p99=p99, **fields)]
    assert len(loads(curves([run(*alone)], DEFAULT))) == counts
    line = [*alone, step(20, jobs_per_s=90, p99=p99, **fields)]  # the same for all together
    assert any(one.workers == 10 for one in loads(curves([run(*line)], DEFAULT))) == counts


def test_jobs_that_failed_are_said() -> None:
    (one,) = loads(curves([run(step(9, jobs_per_s=90, p99=20, failed=400))], DEFAULT))
    assert str(one) == "9 workers with 90 jobs/s: 20 ms and 1,200 failed jobs"


@pytest.mark.parametrize(("workers", "words"), [(90, "63 workers or 630 jobs/s"), (11, "7 workers or 77")])
def test_what_a_load_leaves_free_is_rounded_down_and_not_by_the_last_bit(workers: int, words: str) -> None:
    (one,) = loads(curves([run(step(workers, jobs_per_s=workers * 10, p99=20))], DEFAULT))
    assert leaving_free(one, 0.3).startswith(words)


@settings(deadline=None, max_examples=50)
@given(sizes, speeds, sizes, speeds)
def test_a_larger_load_never_has_more_headroom(n: int, x: float, more_n: int, more_x: float) -> None:
    measured = loads(curves([recorded("clear-yes.json")], DEFAULT)[:1])
    here, there = headroom(measured, n, x), headroom(measured, n + more_n, x + more_x)
    assert here.least is not None
    assert there.least is not None
    assert here.most is not None
    assert there.most is not None
    assert there.least <= here.least
    assert there.most <= here.most


@settings(deadline=None, max_examples=50)
@given(sizes, speeds)
def test_the_grown_load_leaves_the_share_free(workers: int, rate: float) -> None:
    more, faster = grown(workers, rate, 0.3)
    assert 1 - workers / more >= 0.3 - 1e-9
    assert 1 - rate / faster >= 0.3 - 1e-6
    assert more <= workers / 0.7 + 1
    assert faster <= rate / 0.7 * 1.011
    assert grown(workers + 1, rate, 0.3)[0] >= more
    assert grown(workers, rate * 1.1, 0.3)[1] >= faster


def test_it_is_rounded_to_what_can_be_asked_for() -> None:
    assert grown(7, 70, 0.3) == (10, 100)
    assert grown(10, 100, 0.3) == (15, 143)
    assert grown(1, 0.5, 0.3) == (2, 0.715)

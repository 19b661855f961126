"""Curves of results: what belongs together, knees, fits, what is left out."""

from __future__ import annotations

import pytest

from mvm_ci.capacity import telling
from mvm_ci.capacity.curve import Curve, Over, curves, curves_with_steps, held_back
from mvm_ci.capacity.objective import DEFAULT
from mvm_ci.capacity.results import Loop
from mvm_ci.domain.errors import BadInput
from tests.unit.capacity.recorded import SIZES, Law, ramp, rates, recorded, run, step


def one(*found: Curve) -> Curve:
    assert len(found) == 1
    return found[0]


def test_a_ramp_of_workers_is_a_curve_with_its_law() -> None:
    law = Law(lambda_=80, sigma=0.03, kappa=0.0002)
    curve = one(*curves([run(*ramp(law))], DEFAULT))
    assert [point.at for point in curve.points] == list(SIZES)
    assert (curve.kind.over, curve.kind.load, curve.kind.without_engines) == (Over.WORKERS, 10, False)
    assert curve.fit is not None
    assert curve.fit.sigma == pytest.approx(0.03, rel=1e-6)
    assert curve.largest_held_back is not None
    assert curve.largest_held_back.at == 100
    assert curve.largest_held_back.error < 1e-6
    assert curve.points[0].memory_mb == {"control-plane": 157, "workers": 46, "generator": 60}
    assert curve.points[0].cpu_cores["workers"] > 0


def test_options_profiles_slots_machines_and_versions_are_not_mixed() -> None:
    plain = ramp(sizes=(1, 2))
    others = [ramp(sizes=(1, 2), **fields) for fields in ({"option": 2}, {"profile": "cpu"}, {"slots": 4})]
    found = curves([run(*plain, *(one for other in others for one in other))], DEFAULT)
    assert len(found) == 4
    simulated = curves([run(*plain, *ramp(sizes=(1, 2), simulated=True))], DEFAULT)
    assert [curve.kind.simulated for curve in simulated] == [False, True]


def test_runs_of_one_kind_are_put_together_and_named() -> None:
    first = run(*ramp(sizes=(1, 2, 5)), name="first.json")
    second = run(*ramp(sizes=(5, 10, 20)), name="second.json")
    curve = one(*curves([first, second], DEFAULT))
    assert [point.at for point in curve.points] == [1, 2, 5, 10, 20]
    assert curve.runs == ("first.json, 2026-11-30", "second.json, 2026-11-30")


def test_repetitions_of_two_runs_share_a_median() -> None:
    fast, slow, slower = (run(step(5, jobs_per_s=50, p99=p99, times=1)) for p99 in (100, 300, 400))
    curve = one(*curves([fast, slow, slower], DEFAULT))
    assert [point.value_ms for point in curve.points] == [300]


def test_a_curve_comes_with_what_it_is_made_of() -> None:
    steps = [step(n, jobs_per_s=10 * n, p99=100, times=2) for n in (1, 2, 5)]
    more = step(2, jobs_per_s=90, p99=100, times=1, bottleneck="it was late")
    ((curve, found),) = curves_with_steps([run(*steps), run(more)], DEFAULT)
    assert [(at, len(load.repetitions)) for at, load in found] == [(1, 2), (2, 3), (5, 2)]
    assert [point.at for point in curve.points] == [1, 5]
    assert [left.at for left in curve.left_out] == [2]


def test_the_knee_is_found_where_the_next_one_breaks() -> None:
    steps = [step(n, jobs_per_s=n * 10, p99=p99) for n, p99 in ((1, 100), (10, 150), (20, 350), (50, 200))]
    knee = one(*curves([run(*steps)], DEFAULT)).knee
    assert (knee.last, knee.next_, knee.found, knee.last_jobs_per_s) == (10, 20, True, 100)
    assert knee.between == pytest.approx(15)


def test_the_knee_is_at_least_where_the_ramp_ended() -> None:
    curve = one(*curves([recorded("never-breaks.json")], DEFAULT))
    assert (curve.knee.last, curve.knee.found, curve.knee.between) == (10, False, None)
    assert telling.knee(curve, DEFAULT).startswith("at least 10 workers meet p99=250ms")
    assert telling.up_to(curve) == "at least 10"


def test_there_is_none_if_the_smallest_breaks() -> None:
    curve = one(*curves([run(*(step(n, jobs_per_s=5, p99=400) for n in (1, 2)))], DEFAULT))
    assert (curve.knee.last, curve.knee.next_) == (None, 1)
    assert telling.knee(curve, DEFAULT) == "not even 1 workers meet p99=250ms"
    assert telling.up_to(curve) == "below 1"


def test_what_does_not_count_is_listed_with_its_reason() -> None:
    good = [step(n, jobs_per_s=n * 10, p99=100) for n in (1, 2)]
    bad = step(5, jobs_per_s=50, p99=1000, bottleneck="it was late")
    curve = one(*curves([run(*good, bad)], DEFAULT))
    assert [point.at for point in curve.points] == [1, 2]
    assert telling.left_out(curve) == (
        "5 workers not counted: the generator was the bottleneck: it was late",
    )
    assert not curve.knee.found
    nothing = one(*curves([run(bad)], DEFAULT))
    assert (telling.knee(nothing, DEFAULT), telling.up_to(nothing)) == ("no point counts", "unknown")


@pytest.mark.parametrize(("failed", "knee"), [(0, "at least 10"), (1, "at least 5"), (100, "5")])
def test_many_failures_are_a_knee_and_few_are_nothing(failed: int, knee: str) -> None:
    good = [step(n, jobs_per_s=n * 10, p99=100) for n in (1, 2, 5)]
    curve = one(*curves([run(*good, step(10, jobs_per_s=100, p99=100, failed=failed))], DEFAULT))
    assert telling.up_to(curve) == knee


def test_a_growing_rate_has_its_knee_in_requests() -> None:
    curve = one(*curves([run(*rates(Law(), 10, (100, 400, 700, 900)))], DEFAULT))
    assert (curve.kind.over, curve.kind.workers) == (Over.RATE, 10)
    assert (curve.knee.last, curve.knee.next_) == (700, 900)
    assert curve.fit is None
    assert telling.load(curve) == "10 workers, 1 slots, growing rate"
    assert telling.up_to(curve) == "700/s"


def test_one_rate_for_more_and_more_workers_is_a_curve_without_a_law() -> None:
    steps = [step(n, jobs_per_s=100, p99=110, loop=Loop.OPEN, rate=100.0) for n in (10, 100, 1000)]
    curve = one(*curves([run(*steps)], DEFAULT))
    assert (curve.kind.per_worker, curve.kind.load) == (False, 100)
    assert curve.no_fit == "in an open loop the generator sets the throughput"
    closed = [step(n, jobs_per_s=100, p99=110, in_flight=100) for n in (1, 2, 4, 8)]
    assert one(*curves([run(*closed)], DEFAULT)).no_fit == "the load did not grow with the workers"


def test_a_grid_of_workers_and_rates_is_on_curves_of_both_kinds() -> None:
    grid = [
        step(workers, jobs_per_s=rate, p99=100, loop=Loop.OPEN, rate=rate)
        for workers in (10, 20)
        for rate in (100.0, 200.0)
    ]
    kinds = [
        (curve.kind.over, curve.kind.load, curve.kind.workers) for curve in curves([run(*grid)], DEFAULT)
    ]
    assert sorted(kinds, key=str) == sorted(
        [
            (Over.WORKERS, 10, None),
            (Over.WORKERS, 100, None),
            (Over.WORKERS, 200, None),
            (Over.RATE, None, 10),
            (Over.RATE, None, 20),
        ],
        key=str,
    )


def test_a_lone_load_is_a_curve_of_one_point() -> None:
    curve = one(*curves([run(step(5, jobs_per_s=50, p99=100))], DEFAULT))
    assert len(curve.points) == 1
    assert "there are 1: 5" in curve.no_fit


def test_simulated_workers_of_option_1_show_the_control_plane() -> None:
    found = [
        one(*curves([run(*ramp(sizes=(1, 2), option=option, simulated=simulated))], DEFAULT))
        for option, simulated in ((1, True), (1, False), (2, True), (4, False))
    ]
    assert [curve.kind.without_engines for curve in found] == [True, False, False, False]
    said = ["control plane's" in telling.load(curve) for curve in found]
    assert said == [True, False, False, False]


def test_a_middle_point_can_be_held_back() -> None:
    points = [(n, Law().capacity(n)) for n in SIZES]
    assert held_back(points, 10).error < 1e-6
    with pytest.raises(BadInput, match="no point at 11"):
        held_back(points, 11)
    with pytest.raises(BadInput, match="needs 3 different"):
        held_back(points[:3], 2)


def test_the_law_is_told_with_what_is_extrapolated() -> None:
    text = telling.law(one(*curves([run(*ramp(Law(sigma=0.01, kappa=0.00001)))], DEFAULT)))
    assert "sigma 0.01, kappa 1e-05, peak 314.6 (extrapolated)" in text
    assert "without its last point it foretells that by 0.0%" in text

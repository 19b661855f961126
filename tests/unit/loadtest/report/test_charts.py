"""Plots of load tests: what is measured stands where it was measured, and looks like what it is."""

from __future__ import annotations

import pytest

from mvm_ci.capacity.objective import DEFAULT
from mvm_ci.loadtest.report import charts
from mvm_ci.loadtest.report.groups import Group, groups
from tests.unit.capacity.recorded import Law, ramp, run, step
from tests.unit.loadtest.report.samples import grown, measured, soak


def only(*steps: object) -> Group:
    (group,) = groups([run(*steps)], DEFAULT)  # type: ignore[arg-type]
    return group


def test_a_point_is_the_median_with_its_spread() -> None:
    group = only(measured(1, 30, 90, 100, 130), measured(2, 40, 200, 210))
    (line,) = charts.throughput(group).lines
    assert [(point.x, point.y, point.low, point.high) for point in line.points] == [
        (1, 100, 90, 130),
        (2, 205, 200, 210),
    ]
    p99, p50 = charts.latency(group, DEFAULT).lines
    assert [round(point.y) for point in p99.points] == [30, 40]
    assert [round(point.y) for point in p50.points] == [10, 13]
    assert p50.faint
    assert not p50.marked


def test_what_does_not_count_is_hollow_and_what_failed_is_crossed() -> None:
    group = only(
        measured(1, 30, 90),
        measured(2, 30, 90, bottleneck="its CPU"),
        measured(5, 30, 90, 80, steady=False),
        measured(10, 30, 90, failed=3),
    )
    points = charts.throughput(group).lines[0].points
    assert [(point.doubtful, point.broken) for point in points] == [
        (False, False),
        (True, False),
        (True, False),
        (True, True),
    ]
    assert "its CPU" in points[1].text


def test_a_load_without_repetitions_is_no_point() -> None:
    group = only(measured(1, 30, 90), measured(2, 30, 95), measured(5, 30))
    assert [point.x for point in charts.throughput(group).lines[0].points] == [1, 2]


def test_the_law_is_drawn_beyond_what_was_measured() -> None:
    group = only(*ramp(Law(), (1, 2, 5, 10, 20)))
    chart = charts.throughput(group)
    measured_, fitted = chart.lines
    assert (measured_.fitted, fitted.fitted) == (False, True)
    assert fitted.points[0].x == 1
    assert fitted.points[-1].x == chart.x.highest > 20
    at_twenty = min(fitted.points, key=lambda point: abs(point.x - 20))
    assert at_twenty.y == pytest.approx(group.series[0].curve.fit.throughput(at_twenty.x))  # type: ignore[union-attr]


def test_knee_and_objective_are_marked() -> None:
    group = only(measured(1, 30, 90), measured(2, 240, 150), measured(5, 400, 150))
    chart = charts.latency(group, DEFAULT)
    assert [(knee.value, knee.name) for knee in chart.knees] == [(2, "option 4: 2")]
    assert [level.value for level in chart.levels] == [250]
    assert chart.y.lowest <= 10
    assert chart.y.highest >= 400


def test_an_option_has_the_same_colour_everywhere() -> None:
    one, all_of_them = only(*ramp(option=4)), only(*ramp(option=1), *ramp(option=4))
    assert one.series[0].colour == all_of_them.series[1].colour == 3


def test_latency_by_percentile_goes_as_far_as_there_are_values() -> None:
    group = only(*(measured(workers, 30 * workers, 100) for workers in (1, 2, 5, 10, 20, 50, 100)))
    (chart,) = charts.by_percentile(group, DEFAULT)
    assert [line.name for line in chart.lines] == ["1", "5", "10", "20", "100"]
    points = chart.lines[0].points
    assert (points[0].x, points[-1].x) == (2, 1000)
    assert points[0].y == pytest.approx(10, rel=0.01)
    assert points[-1].y == pytest.approx(30, rel=0.01)
    assert [point.x for point in points if not point.bare] == [2, 10, 100, 1000]


def test_without_histograms_there_is_no_latency_by_percentile() -> None:
    assert charts.by_percentile(only(*ramp()), DEFAULT) == []


def test_single_loads_share_a_plot_of_percentiles() -> None:
    loads = (
        measured(7, 30, 90),
        step(10, jobs_per_s=9, p99=9, in_flight=500, repetitions=measured(1, 60, 90).repetitions),
    )
    found = groups([run(*loads)], DEFAULT)
    assert [group.plotted for group in found] == [False, False]
    (chart,) = charts.of_singles(found, DEFAULT)
    assert [line.name for line in chart.lines] == ["14", "500"]


def test_a_soak_has_a_plot_for_each_figure_with_the_losses() -> None:
    (chart,) = charts.of_soak(soak())
    assert [line.name for line in chart.lines] == ["control-plane", "workers"]
    assert [moment.value for moment in chart.moments] == [300, 900]
    assert all(8 <= sum(not point.bare for point in line.points) <= 16 for line in chart.lines)
    assert chart.x.highest == 1800
    assert charts.of_soak(soak(grown=(), losses=())) == ()
    assert len(charts.of_soak(soak(grown=(grown("workers", within_noise=False),)))[0].lines) == 1


def test_values_far_apart_are_drawn() -> None:
    group = only(measured(1, 0.001, 1e-6), measured(1000, 3.6e6, 1e12))
    for chart in charts.of_group(group, DEFAULT):
        assert all(
            0 <= chart.y.share(point.y) <= 1 and 0 <= chart.x.share(point.x) <= 1
            for line in chart.lines
            for point in line.points
        )

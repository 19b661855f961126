"""The plots of a report."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from mvm_ci.capacity import telling
from mvm_ci.capacity.curve import Over
from mvm_ci.capacity.hdr import Histogram
from mvm_ci.capacity.objective import Objective
from mvm_ci.capacity.results import Loop, Repetition, Soak, Step
from mvm_ci.capacity.usl import Fit
from mvm_ci.loadtest.report.groups import Group, Measured, Series
from mvm_ci.reporting import scale
from mvm_ci.reporting.chart import Chart, Knee, Level, Line, Moment, Point
from mvm_ci.reporting.numbers import shown
from mvm_ci.reporting.scale import Scale

BEYOND: Final = 1.25
"""How far an axis goes for a fitted curve, at least, in multiples of the largest load that was measured."""
_WIDE: Final = 20
"""Times the smallest load from which the largest needs a logarithmic axis."""
_SAMPLES: Final = 60
_PLANE: Final = ("control-plane", "engine")
_MOST_LINES: Final = 5
_MARKS: Final = 8
_PER_DECADE: Final = 12
_AXES: Final = {Over.WORKERS: "workers", Over.RATE: "requests a second"}
_DOUBT: Final = "does not count: see the remark"
_BROKEN: Final = "jobs failed"
_NAMES: Final = {"p50": "p50", "p90": "p90", "p99": "p99", "p999": "p99.9"}


def of_group(group: Group, objective: Objective) -> tuple[Chart, ...]:
    """Throughput, latency, and what control plane and engine use."""
    return (
        throughput(group),
        latency(group, objective),
        _usage(group, "CPU", "cores, of control plane and shared engine", Step.cpu_cores),
        _usage(group, "Memory", "MiB, of control plane and shared engine", Step.memory_mb),
    )


def throughput(group: Group) -> Chart:
    """Jobs a second, with the law that was fitted."""
    lines = [_line(series, lambda one: one.jobs_per_s) for series in group.series]
    lines += [
        _fitted(series, series.curve.fit, _x(group).highest)
        for series in group.series
        if series.curve.fit is not None
    ]
    return _chart(group, "Throughput", "jobs a second", lines, scale.linear(_heights(lines)))


def latency(group: Group, objective: Objective) -> Chart:
    """The quantile of the objective, and p50."""
    name = _NAMES[objective.quantile]
    lines = [
        _line(series, lambda one: float(getattr(one.latency, objective.quantile))) for series in group.series
    ]
    median = ""
    if objective.quantile != "p50":
        median = ", thin: p50"
        lines += [_median(series) for series in group.series]
    y = scale.logarithmic([*_heights(lines), objective.ms])
    drawn = _chart(group, "Latency", f"milliseconds, {name}{median}", lines, y)
    return msgspec.structs.replace(drawn, levels=(_objective(objective),))


def by_percentile(group: Group, objective: Objective) -> list[Chart]:
    """Of each curve, with a line for a few of its loads; those without a histogram are left out."""
    about = f"percentile; lines by {_AXES[group.over]}"
    drawn = (
        _by_percentile(
            f"{group.profile}, {series.name}",
            about,
            [(f"{one.at:,g}", one.step) for one in series.measured],
            objective,
        )
        for series in group.series
    )
    return [chart for chart in drawn if chart is not None]


def of_singles(found: Iterable[Group], objective: Objective) -> list[Chart]:
    """The same of loads that are on no curve, those of an option and a profile in one."""
    by_title: dict[str, list[tuple[str, Step]]] = {}
    for group in found:
        for series in group.series:
            there = by_title.setdefault(f"{group.profile}, {series.name}", [])
            there += [(f"{_load(one.step):,g}", one.step) for one in series.measured]
    drawn = (
        _by_percentile(title, "percentile; lines by load", steps, objective)
        for title, steps in by_title.items()
    )
    return [chart for chart in drawn if chart is not None]


def of_soak(found: Soak) -> tuple[Chart, ...]:
    """Each figure over time, a line for each part; killed workers are moments."""
    whats = dict.fromkeys((one.what, one.unit) for one in found.grown if one.points)
    parts = list(dict.fromkeys(one.part for one in found.grown))
    last = max((at for one in found.grown for at, _ in one.points), default=0.0)
    moments = tuple(Moment(one.at_s, f"{one.worker} was killed at {one.at_s:.0f} s") for one in found.losses)
    charts = []
    for what, unit in whats:
        lines = tuple(
            Line(
                name=one.part,
                points=_some_marked(one.points),
                colour=parts.index(one.part),
            )
            for one in found.grown
            if (one.what, one.unit) == (what, unit)
        )
        charts.append(
            Chart(
                title=f"{what[:1].upper()}{what[1:]} in the soak",
                x=scale.duration(max([last, *(moment.value for moment in moments)])),
                y=scale.linear(_heights(lines)),
                lines=lines,
                x_name="time",
                y_name=unit,
                moments=moments,
                moment="a worker was killed",
            )
        )
    return tuple(charts)


def _some_marked(points: Sequence[tuple[float, float]]) -> tuple[Point, ...]:
    """So many marks that lines can be told apart, and no more."""
    every = max(1, len(points) // _MARKS)
    return tuple(
        Point(at, value, bare=number % every != every // 2) for number, (at, value) in enumerate(points)
    )


def _usage(group: Group, title: str, unit: str, of: Callable[[Step, str], float]) -> Chart:
    lines = []
    for series in group.series:
        points = tuple(
            Point(one.at, sum(of(one.step, part) for part in _PLANE), text=_told(series, one))
            for one in series.measured
            if any(used.part in _PLANE for repetition in one.step.repetitions for used in repetition.usage)
        )
        if points:
            lines.append(Line(name=series.name, points=points, colour=series.colour))
    drawn = _chart(group, title, unit, lines, scale.linear(_heights(lines)))
    unnamed = tuple(Knee(knee.value, "", knee.colour) for knee in drawn.knees)
    return msgspec.structs.replace(drawn, knees=unnamed)


def _chart(group: Group, title: str, y_name: str, lines: Sequence[Line], y: Scale) -> Chart:
    knees = tuple(
        Knee(series.curve.knee.last, f"{series.name}: {telling.up_to(series.curve)}", series.colour)
        for series in group.series
        if series.curve.knee.last is not None
    )
    return Chart(
        title=f"{title}, {group.profile}",
        x=_x(group),
        y=y,
        lines=tuple(lines),
        x_name=_AXES[group.over],
        y_name=y_name,
        knees=knees,
        fitted="fitted law; beyond the last point extrapolated",
        doubt=_DOUBT,
        broken=_BROKEN,
    )


def _x(group: Group) -> Scale:
    values = [one.at for series in group.series for one in series.measured]
    if values and max(values) > _WIDE * min(values):
        return scale.logarithmic([min(values), _most(group)])
    return scale.linear([_most(group)], least_step=1.0)


def _most(group: Group) -> float:
    """The end of the x-axis: the largest load, or as far as a fitted curve goes beyond."""
    fitted = any(series.curve.fit is not None for series in group.series)
    most = max((one.at for series in group.series for one in series.measured), default=1.0)
    return most * BEYOND if fitted else most


def _line(series: Series, of: Callable[[Repetition], float]) -> Line:
    points = []
    for one in series.measured:
        values = sorted(of(repetition) for repetition in one.step.repetitions)
        if values:
            middle = (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
            points.append(
                Point(
                    one.at,
                    middle,
                    values[0],
                    values[-1],
                    doubtful=bool(one.why),
                    broken=one.step.failed > 0,
                    text=_told(series, one),
                )
            )
    return Line(name=series.name, points=tuple(points), colour=series.colour)


def _median(series: Series) -> Line:
    points = tuple(Point(one.at, one.step.p50_ms) for one in series.measured if one.step.repetitions)
    return Line(name="", points=points, colour=series.colour, marked=False, faint=True)


def _fitted(series: Series, fit: Fit, most: float) -> Line:
    first = min(one.at for one in series.measured)
    ratio = most / first
    sizes = (first * ratio ** (number / _SAMPLES) for number in range(_SAMPLES + 1))
    points = tuple(Point(size, fit.throughput(size)) for size in sizes)
    return Line(name="", points=points, colour=series.colour, fitted=True)


def _told(series: Series, one: Measured) -> str:
    step = one.step
    latencies = f"p50 {shown(step.p50_ms)} ms, p99 {shown(step.p99_ms)} ms"
    text = f"{series.name}, {one.at:,g}: {shown(step.jobs_per_s)} jobs/s, {latencies}"
    return f"{text}; {one.why}" if one.why else text


def _heights(lines: Iterable[Line]) -> list[float]:
    return [
        value
        for line in lines
        for point in line.points
        for value in (point.y, point.high)
        if value is not None
    ]


def _histogram(step: Step) -> Histogram:
    found = Histogram()
    for one in step.repetitions:
        found.merge(Histogram.of(one.latency))
    return found


def _by_percentile(
    title: str, about: str, steps: Iterable[tuple[str, Step]], objective: Objective
) -> Chart | None:
    held = [(name, _histogram(step)) for name, step in steps]
    kept = _few([(name, found) for name, found in held if found.count])
    if not kept:
        return None
    lines = tuple(
        Line(name=name, points=_percentiles(found), colour=number)
        for number, (name, found) in enumerate(kept)
    )
    return Chart(
        title=title,
        x=scale.percentiles(max(point.x for line in lines for point in line.points)),
        y=scale.logarithmic([*_heights(lines), objective.ms]),
        lines=lines,
        x_name=about,
        y_name="milliseconds",
        levels=(_objective(objective),),
    )


def _objective(objective: Objective) -> Level:
    return Level(objective.ms, f"{_NAMES[objective.quantile]} {objective.ms:g} ms")


def _load(step: Step) -> float:
    return (step.rate if step.loop is Loop.OPEN else step.in_flight) or 0.0


def _few(found: list[tuple[str, Histogram]]) -> list[tuple[str, Histogram]]:
    """The first, the last, and some between."""
    if len(found) <= _MOST_LINES:
        return found
    return [found[round(number * (len(found) - 1) / (_MOST_LINES - 1))] for number in range(_MOST_LINES)]


def _percentiles(found: Histogram) -> tuple[Point, ...]:
    """From the median as far as there are values to tell; marked at each nine."""
    count = max(1, math.floor(math.log10(max(1, found.count)) * _PER_DECADE))
    nines = [2.0, *(10 ** (number / _PER_DECADE) for number in range(_PER_DECADE // 2, count + 1))]
    values = found.quantiles(*(1 - 1 / x for x in nines))
    marked = {2.0, *(10.0**number for number in range(count))}
    return tuple(Point(x, value, bare=x not in marked) for x, value in zip(nines, values, strict=True))

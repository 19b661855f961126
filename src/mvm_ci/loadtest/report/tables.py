"""The tables of a report."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from mvm_ci.capacity import telling
from mvm_ci.capacity.curve import PARTS, Over
from mvm_ci.capacity.results import Soak, Step
from mvm_ci.loadtest.report import words
from mvm_ci.loadtest.report.groups import Group, Measured, Series
from mvm_ci.reporting.numbers import shown, spread
from mvm_ci.reporting.table import Table

_REASONS: Final = 2
"""Of failures that a table names."""


def knees(found: Sequence[Group]) -> Table:
    """Up to where each curve meets the objective, and the jobs a second there: a row for each load."""
    names = list(dict.fromkeys(series.name for group in found for series in group.series))
    rows = []
    for group in found:
        by_name = {series.name: series for series in group.series}
        rows.append((group.profile, group.load, *(_knee(by_name.get(name)) for name in names)))
    return Table(head=("jobs", "load", *names), rows=tuple(rows), words=(0, 1))


def figures(series: Series, over: Over) -> Table:
    """All that was measured on a curve: median of the repetitions, from the least to the most."""
    head = (over.value, "jobs/s", "from, to", "p50 ms", "p99 ms", "from, to", "p99.9 ms", "failed", "remark")
    rows = tuple((*_figures(one), _remark(series, one)) for one in series.measured)
    return Table(head=head, rows=rows, words=(8,)).without_empty()


def usage(series: Series, over: Over) -> Table | None:
    """What each part used on a curve, median of the repetitions; None if that was not measured."""
    measured = [one for one in series.measured if any(_used(one.step, part) for part in PARTS)]
    parts = [part for part in PARTS if any(_used(one.step, part) for one in measured)]
    head = (over.value, *(f"{part}: {unit}" for part in parts for unit in ("cores", "MiB")))
    rows = tuple((f"{one.at:,g}", *_usage(one.step, parts)) for one in measured)
    return Table(head=head, rows=rows, words=()) if rows else None


def singles(found: Sequence[Group]) -> Table:
    """Loads that are on no curve."""
    head = ("jobs", "load", "option", "workers", "jobs/s", "from, to", "p50 ms", "p99 ms", "from, to")
    rows = tuple(
        (group.profile, group.load, series.name, *_figures(one)[:6], _remark(series, one))
        for group in found
        for series in group.series
        for one in series.measured
    )
    return Table(head=(*head, "remark"), rows=rows, words=(0, 1, 2, 9)).without_empty()


def fits(found: Sequence[Series]) -> Table:
    """The Universal Scalability Law of each curve, and what it foretold of its last point without knowing
    it.
    """
    law = ("", "one alone, jobs/s", "contention", "crosstalk", "peak, workers", "peak, jobs/s", "R²")
    head = (*law, "last point foretold", "remark")
    return Table(head=head, rows=tuple(_fit(series) for series in found), words=(0, 8)).without_empty()


def soak(found: Soak) -> Table:
    """What became of its jobs."""
    step = found.step
    rows = [
        ("submitted", shown(found.submitted)),
        ("completed", shown(found.completed)),
        ("failed", shown(found.failed)),
        ("lost", _seen(found.lost)),
        *([] if found.effects is None else [("different effects", shown(found.effects))]),
        ("effects done more than once", _seen(found.doubled)),
        ("requests repeated with the key of one before", shown(found.repeated)),
        ("jobs a second", shown(step.jobs_per_s)),
        ("p50, ms", shown(step.p50_ms)),
        ("p99, ms", shown(step.p99_ms)),
    ]
    return Table(head=("jobs", ""), rows=tuple(rows))


def _seen(count: int | None) -> str:
    return words.UNSEEN if count is None else shown(count)


def growth(found: Soak) -> Table:
    """What grew, against how much it scatters."""
    rows = tuple(
        (
            one.part,
            f"{one.what}, {one.unit}" if one.unit else one.what,
            shown(one.points[0][1]) if one.points else "",
            shown(one.points[-1][1]) if one.points else "",
            f"{one.per_hour:+.3g}",
            f"{one.noise_per_hour:.3g}",
            "within noise" if one.within_noise else "GROWS",
        )
        for one in found.grown
    )
    head = ("part", "figure", "at first", "at last", "an hour", "noise an hour", "")
    return Table(head=head, rows=rows, words=(0, 1, 6))


def losses(found: Soak) -> Table:
    """Workers that were killed, and when there was another one in their place."""
    rows = tuple(
        (
            one.worker,
            f"{one.at_s:.1f}",
            "" if one.back_s is None else f"{one.back_s - one.at_s:.1f}",
            "no other one was seen" if one.back_s is None else "",
        )
        for one in found.losses
    )
    head = ("worker", "killed at, s", "in its place after, s", "remark")
    return Table(head=head, rows=rows, words=(0, 3)).without_empty()


def _knee(series: Series | None) -> str:
    if series is None:
        return ""
    found = series.curve.knee
    rate = "" if found.last_jobs_per_s is None else f" ({shown(found.last_jobs_per_s)} jobs/s)"
    return telling.up_to(series.curve) + rate


def _figures(one: Measured) -> tuple[str, ...]:
    repetitions = one.step.repetitions
    if not repetitions:
        return (f"{one.at:,g}", "", "", "", "", "", "", "")
    tails = [repetition.latency.p999 for repetition in repetitions]
    return (
        f"{one.at:,g}",
        shown(one.step.jobs_per_s),
        spread([repetition.jobs_per_s for repetition in repetitions]),
        shown(one.step.p50_ms),
        shown(one.step.p99_ms),
        spread([repetition.latency.p99 for repetition in repetitions]),
        shown(max(tails)) if any(tails) else "",
        shown(one.step.failed) if one.step.failed else "",
    )


def _usage(step: Step, parts: Sequence[str]) -> tuple[str, ...]:
    found: list[str] = []
    for part in parts:
        there = _used(step, part)
        found += [shown(step.cpu_cores(part)), shown(step.memory_mb(part))] if there else ["", ""]
    return tuple(found)


def _used(step: Step, part: str) -> bool:
    return any(used.part == part for one in step.repetitions for used in one.usage)


def _remark(series: Series, one: Measured) -> str:
    """Why it does not count, or that it did not meet the objective; and for what jobs failed."""
    met = next((point.met for point in series.curve.points if point.at == one.at), True)
    overloads = (repetition.overload for repetition in one.step.repetitions if repetition.overload)
    broken = "too many jobs failed" if one.step.failed else "over the objective"
    judged = one.why or ("" if met else next(overloads, broken))
    reasons: Counter[str] = Counter()
    for repetition in one.step.repetitions:
        reasons.update(repetition.reasons)
    told = (f"{count:,} failed: {reason}" for reason, count in reasons.most_common(_REASONS))
    return "; ".join(filter(None, (judged, *told)))


def _fit(series: Series) -> tuple[str, ...]:
    fit, held = series.curve.fit, series.curve.largest_held_back
    if fit is None:
        return (series.name, "", "", "", "", "", "", "", series.curve.no_fit)
    peak = fit.peak
    foretold = ""
    if held is not None:
        off = held.predicted / held.measured - 1
        foretold = f"{shown(held.predicted)} for {shown(held.measured)} ({off:+.1%})"
    beyond = peak is not None and fit.extrapolated(peak)
    return (
        series.name,
        shown(fit.lambda_),
        shown(fit.sigma),
        shown(fit.kappa),
        "none" if peak is None else shown(peak),
        "" if peak is None else shown(fit.throughput(peak)),
        "" if fit.r_squared is None else f"{fit.r_squared:.3f}",
        foretold,
        "the peak is extrapolated" if beyond else "",
    )

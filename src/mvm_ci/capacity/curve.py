"""Curves of results: how throughput and latency change with the workers, or with the rate. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from mvm_ci.capacity import usl
from mvm_ci.capacity.objective import Objective, asked_jobs_per_s, not_counted
from mvm_ci.capacity.results import Loop, Result, Step
from mvm_ci.domain.errors import BadInput

PARTS: Final = ("control-plane", "engine", "workers", "generator")
SHARED: Final = (2, 3, 4)
"""Options in which all workers share an engine, or a tier of them."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A result with the name of its file."""

    name: str
    result: Result

    @property
    def label(self) -> str:
        """The file and the day (UTC) on which it was measured."""
        day = datetime.fromtimestamp(self.result.began_ms / 1000, UTC).date()
        return f"{self.name}, {day.isoformat()}"


class Over(StrEnum):
    """What grows along a curve."""

    WORKERS = "workers"
    RATE = "rate"


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What the steps of a curve have in common. ``load``: requests a second (open loop) or at once (closed
    loop), of each worker or of all together; None along a curve over the rate, which has ``workers``.
    ``one_machine``: generator, control plane and workers shared it. ``cluster``: its address, or ``local``.
    """

    option: int | None
    profile: str
    simulated: bool
    loop: Loop
    batch: int
    slots: int
    machine: str
    one_machine: bool
    cluster: str
    version: str
    over: Over = Over.WORKERS
    load: float | None = None
    per_worker: bool = True
    workers: int | None = None

    @property
    def without_engines(self) -> bool:
        """Whether no guest ran: simulated workers take their time, and the control plane is the limit."""
        return self.simulated and self.option not in SHARED


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One load, all its repetitions. ``at``: workers, or requests a second, by the curve; ``value_ms``: the
    quantile of the objective; ``failed``: jobs; CPU in cores and memory in MiB by part.
    """

    at: float
    workers: int
    asked_jobs_per_s: float | None
    jobs_per_s: float
    p50_ms: float
    p99_ms: float
    value_ms: float
    met: bool
    failed: int = 0
    cpu_cores: dict[str, float]
    memory_mb: dict[str, float]


class LeftOut(msgspec.Struct, frozen=True):
    """A load that says nothing about the objective, and why."""

    at: float
    why: str


class Knee(msgspec.Struct, frozen=True, kw_only=True):
    """Up to where the objective is met. ``last``: the largest that met it, with all smaller ones; None: not
    even the smallest. ``next_``: the next one measured, which did not; None: the ramp ended before, and the
    knee is at least there. ``between``: where the objective would be reached on the line between the two; it
    is interpolated, not measured.
    """

    last: float | None
    last_jobs_per_s: float | None = None
    next_: float | None = msgspec.field(name="next", default=None)
    between: float | None = None

    @property
    def found(self) -> bool:
        """Whether it was measured that it ends there."""
        return self.next_ is not None


class HeldBack(msgspec.Struct, frozen=True, kw_only=True):
    """A point that a fit without it was asked for. ``error``: of the prediction, relative to the measured."""

    at: float
    measured: float
    predicted: float
    error: float


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """Points in order. ``fit``: of jobs a second over workers, or ``no_fit`` says why there is none;
    ``largest_held_back``: what it foretold of its last point. ``runs``: files and days.
    """

    kind: Kind
    runs: tuple[str, ...]
    points: tuple[Point, ...]
    left_out: tuple[LeftOut, ...]
    knee: Knee
    fit: usl.Fit | None = None
    no_fit: str = ""
    largest_held_back: HeldBack | None = None


Steps: TypeAlias = tuple[tuple[float, Step], ...]
"""Where it is on a curve, and a load with all its repetitions."""


def curves(runs: Iterable[Run], objective: Objective) -> tuple[Curve, ...]:
    """All curves of some runs, judged by an objective. A step may be on several: over workers with the same
    load each, over workers with the same load in all, over the rate; one that is on none is one of its own.
    """
    return tuple(curve for curve, _ in curves_with_steps(runs, objective))


def curves_with_steps(runs: Iterable[Run], objective: Objective) -> tuple[tuple[Curve, Steps], ...]:
    """The same, each with what it is made of."""
    found: list[tuple[Curve, Steps]] = []
    for base, loads in _by_kind(runs).items():
        used: set[tuple[int, float]] = set()
        for kind, keys in _lines(base, loads):
            found.append(_curve(kind, {key: loads[key] for key in keys}, objective))
            used.update(keys)
        for key in sorted(loads.keys() - used):
            alone = msgspec.structs.replace(base, load=_digits(key[1] / key[0]))
            found.append(_curve(alone, {key: loads[key]}, objective))
    return tuple(found)


def held_back(points: Sequence[tuple[float, float]], at: float) -> HeldBack:
    """What the points other than those at N = ``at`` foretell of them. Raises ``BadInput`` if there is none
    there, or fewer than three other N.
    """
    there = [x for n, x in points if n == at]
    if not there:
        raise BadInput(f"no point at {at:g} to hold back")
    measured = sum(there) / len(there)
    predicted = usl.fit([point for point in points if point[0] != at]).throughput(at)
    return HeldBack(at=at, measured=measured, predicted=predicted, error=abs(predicted - measured) / measured)


class _Measured(msgspec.Struct):
    """The steps of one load, put together, and the files that they are from."""

    step: Step
    runs: list[str]


_Loads = dict[tuple[int, float], _Measured]
"""By workers and load of all together."""


def _by_kind(runs: Iterable[Run]) -> dict[Kind, _Loads]:
    found: dict[Kind, _Loads] = defaultdict(dict)
    for run in runs:
        for step in run.result.steps:
            load = step.rate if step.loop is Loop.OPEN else step.in_flight
            if not load or step.workers < 1:
                continue
            there = found[_kind(step, run.result)]
            same = there.get((step.workers, float(load)))
            if same is None:
                there[step.workers, float(load)] = _Measured(step, [run.label])
                continue
            same.step = msgspec.structs.replace(
                same.step, repetitions=same.step.repetitions + step.repetitions
            )
            same.runs.append(run.label)
    return found


def _kind(step: Step, result: Result) -> Kind:
    machine = result.machine
    return Kind(
        option=step.option,
        profile=step.profile,
        simulated=step.simulated,
        loop=step.loop,
        batch=step.batch,
        slots=step.slots,
        machine=f"{machine.cores} cores, {machine.cpu}",
        one_machine=machine.shared,
        cluster=result.cluster.address,
        version=result.cluster.version,
    )


def _lines(base: Kind, loads: _Loads) -> list[tuple[Kind, list[tuple[int, float]]]]:
    """The curves on which two loads or more stand."""
    replace = msgspec.structs.replace
    lines = [
        (replace(base, load=share), keys)
        for share, keys in _grouped(loads, lambda key: _digits(key[1] / key[0]))
    ]
    lines += [
        (replace(base, load=load, per_worker=False), keys)
        for load, keys in _grouped(loads, lambda key: key[1])
    ]
    if base.loop is Loop.OPEN:
        lines += [
            (replace(base, over=Over.RATE, per_worker=False, workers=int(workers)), keys)
            for workers, keys in _grouped(loads, lambda key: key[0])
        ]
    return lines


def _grouped(
    loads: _Loads, by: Callable[[tuple[int, float]], float]
) -> list[tuple[float, list[tuple[int, float]]]]:
    groups: dict[float, list[tuple[int, float]]] = defaultdict(list)
    for key in sorted(loads):
        groups[by(key)].append(key)
    return [(value, keys) for value, keys in sorted(groups.items()) if len(keys) > 1]


def _digits(value: float) -> float:
    """Three digits of it, so that 100 by 3 workers and 33.3 by one are the same load."""
    return float(f"{value:.3g}")


def _curve(kind: Kind, loads: _Loads, objective: Objective) -> tuple[Curve, Steps]:
    steps = tuple(
        (float(workers) if kind.over is Over.WORKERS else load, measured.step)
        for (workers, load), measured in sorted(loads.items())
    )
    points: list[Point] = []
    left_out: list[LeftOut] = []
    for at, step in steps:
        why = not_counted(step, objective)
        if why:
            left_out.append(LeftOut(at, why))
        else:
            points.append(_point(step, at, objective))
    fitted, no_fit, held = _fitted(kind, points)
    curve = Curve(
        kind=kind,
        runs=tuple(dict.fromkeys(name for measured in loads.values() for name in measured.runs)),
        points=tuple(points),
        left_out=tuple(left_out),
        knee=_knee(points, objective),
        fit=fitted,
        no_fit=no_fit,
        largest_held_back=held,
    )
    return curve, steps


def _point(step: Step, at: float, objective: Objective) -> Point:
    parts = {used.part for one in step.repetitions for used in one.usage}
    return Point(
        at=at,
        workers=step.workers,
        asked_jobs_per_s=asked_jobs_per_s(step),
        jobs_per_s=step.jobs_per_s,
        p50_ms=step.p50_ms,
        p99_ms=step.p99_ms,
        value_ms=objective.value(step),
        met=objective.met(step),
        failed=step.failed,
        cpu_cores={part: step.cpu_cores(part) for part in PARTS if part in parts},
        memory_mb={part: step.memory_mb(part) for part in PARTS if part in parts},
    )


def _knee(points: Sequence[Point], objective: Objective) -> Knee:
    last: Point | None = None
    for point in points:
        if not point.met:
            between = None
            if last is not None and last.value_ms < objective.ms < point.value_ms:
                share = (objective.ms - last.value_ms) / (point.value_ms - last.value_ms)
                between = last.at + share * (point.at - last.at)
            return Knee(
                last=None if last is None else last.at,
                last_jobs_per_s=None if last is None else last.jobs_per_s,
                next_=point.at,
                between=between,
            )
        last = point
    return Knee(
        last=None if last is None else last.at, last_jobs_per_s=None if last is None else last.jobs_per_s
    )


def _fitted(kind: Kind, points: Sequence[Point]) -> tuple[usl.Fit | None, str, HeldBack | None]:
    """The fit, or why there is none, and what it foretells of the largest."""
    if kind.over is not Over.WORKERS:
        return None, "the law is about workers", None
    if kind.loop is Loop.OPEN:
        return None, "in an open loop the generator sets the throughput", None
    if not kind.per_worker:
        return None, "the load did not grow with the workers", None
    pairs = [(point.at, point.jobs_per_s) for point in points]
    try:
        fitted = usl.fit(pairs)
    except BadInput as error:
        return None, str(error), None
    enough = fitted.sizes > usl.LEAST_SIZES
    return fitted, "", held_back(pairs, fitted.largest) if enough else None

"""How much memory and CPU an option takes, and where each figure comes from. Pure."""

from collections.abc import Callable, Iterable
from enum import StrEnum

import msgspec

from mvm_ci.capacity import documented
from mvm_ci.capacity.curve import Curve, Over, Point


class Origin(StrEnum):
    """Where a figure comes from. ``ESTIMATED``: calculated from others, or measured with other numbers."""

    MEASURED = "measured"
    DOCUMENTED = "documented"
    ESTIMATED = "estimated"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One size. ``source``: the run with its day and machine, or the page, and what was calculated."""

    name: str
    value: float
    unit: str
    origin: Origin
    source: str

    def __str__(self) -> str:
        return f"{self.value:,.4g} {self.unit}".rstrip()


def worker_memory(curves: Iterable[Curve], option: int, workers: int) -> Figure:
    """Of one worker of an option, without what its guests need, if there are so many."""
    measured = _nearest(curves, option, workers, lambda point: point.memory_mb.get("workers", 0.0))
    name = "memory of a worker"
    if measured is not None:
        point, curve, value = measured
        return _figure(name, value / point.workers, point, curve, workers)
    alike = option if option in documented.WORKER_MB else documented.ALIKE
    return Figure(
        name=name,
        value=documented.WORKER_MB[alike],
        unit="MiB",
        origin=Origin.DOCUMENTED,
        source=documented.WHERE,
    )


def host_memory(curves: Iterable[Curve], option: int, workers: int) -> Figure:
    """Of the control plane, and of the engine that workers share, if there is one, without guests."""

    def held(point: Point) -> float:
        plane = point.memory_mb.get("control-plane", 0.0)
        return plane + point.memory_mb.get("engine", 0.0) if plane else 0.0

    measured = _nearest(curves, option, workers, held)
    name = "memory of the control plane" + ("" if option == 1 else " and the engine")
    if measured is not None:
        point, curve, value = measured
        return _figure(name, value, point, curve, workers)
    if option == 1:
        value, source = documented.CONTROL_PLANE_MB, documented.CONTROL_PLANE
    else:
        alike = option if option in documented.HOST_MB else documented.ALIKE
        value, source = documented.HOST_MB[alike], documented.WHERE
    return Figure(name=name, value=value, unit="MiB", origin=Origin.DOCUMENTED, source=source)


def total_memory(curves: Iterable[Curve], option: int, workers: int) -> Figure:
    """Of all workers, control plane and engine together, without guests."""
    known = tuple(curves)
    worker, host = worker_memory(known, option, workers), host_memory(known, option, workers)
    return Figure(
        name=f"memory of {workers} workers and {host.name.removeprefix('memory of ')}",
        value=worker.value * workers + host.value,
        unit="MiB",
        origin=Origin.ESTIMATED,
        source=f"{workers} times {worker} ({worker.origin}) + {host} ({host.origin})",
    )


def cores(
    curves: Iterable[Curve], option: int, workers: int, jobs_per_s: float, *, part: str, free: float
) -> Figure | None:
    """Cores of ``part`` at a rate, with a share of them ``free``; None if it was not measured. An engine that
    is in the control plane counts with it, and is ``engine`` here.
    """

    def used(point: Point) -> float:
        inside = point.cpu_cores.get("control-plane", 0.0) if part == "engine" else 0.0
        return point.cpu_cores.get(part, 0.0) or inside

    measured = _nearest(curves, option, workers, used)
    if measured is None:
        return None
    point, curve, found = measured
    each = found / point.jobs_per_s
    names = {"engine": "the engine", "control-plane": "the control plane", "workers": "all workers"}
    return Figure(
        name=f"cores of {names[part]}",
        value=each * jobs_per_s / (1 - free),
        unit="",
        origin=Origin.ESTIMATED,
        source=f"{each * 1000:.3g} ms of CPU a job ({_source(point, curve)}), {free:.0%} of them free",
    )


def _nearest(
    curves: Iterable[Curve], option: int, workers: int, value: Callable[[Point], float]
) -> tuple[Point, Curve, float] | None:
    """The point with as many workers or the least more, or else the most; of real workers alone."""
    found = [
        (point, curve, value(point))
        for curve in curves
        if curve.kind.option == option and not curve.kind.simulated and curve.kind.over is Over.WORKERS
        for point in curve.points
        if point.jobs_per_s > 0 and value(point) > 0
    ]
    return min(found, key=lambda one: (one[0].workers < workers, abs(one[0].workers - workers)), default=None)


def _figure(name: str, value: float, point: Point, curve: Curve, workers: int) -> Figure:
    measured = point.workers >= workers
    return Figure(
        name=name,
        value=value,
        unit="MiB",
        origin=Origin.MEASURED if measured else Origin.ESTIMATED,
        source=_source(point, curve),
    )


def _source(point: Point, curve: Curve) -> str:
    return f"{'; '.join(curve.runs)}: {point.workers} workers, {curve.kind.profile}, {curve.kind.machine}"

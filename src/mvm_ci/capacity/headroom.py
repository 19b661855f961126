"""How much more than a load a shared engine bears, by what was measured. Pure.

A measured load is some workers and some jobs a second. It is taken for granted that one that has no more of
either is no harder: where a load met the objective, all smaller ones do; where one did not, no larger one
does. So every measured load bounds the headroom from one side, and nothing is interpolated or extrapolated.
"""

import math
from collections.abc import Iterable, Sequence

import msgspec

from mvm_ci.capacity.curve import Curve, Kind, Over, Point
from mvm_ci.capacity.results import Loop


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A load and whether it met the objective. ``jobs_per_s``: of an open loop what was asked for (to keep
    up with it is part of meeting the objective), of a closed one what was done. ``failed``: jobs.
    """

    workers: int
    jobs_per_s: float
    value_ms: float
    met: bool
    failed: int
    kind: Kind
    runs: tuple[str, ...]

    def __str__(self) -> str:
        what = "simulated workers" if self.kind.simulated else "workers"
        failed = f" and {self.failed:,} failed jobs" if self.failed else ""
        return f"{self.workers} {what} with {self.jobs_per_s:,.4g} jobs/s: {self.value_ms:,.4g} ms{failed}"


def grown(workers: int, jobs_per_s: float, headroom: float) -> tuple[int, float]:
    """The load of which a present one leaves this share free; rounded up to what can be measured."""
    rate = jobs_per_s / (1 - headroom)
    digit = 10.0 ** (math.floor(math.log10(rate)) - 2)
    # What a division leaves behind in the last bit is not rounded up.
    return math.ceil(round(workers / (1 - headroom), 9)), round(math.ceil(round(rate / digit, 6)) * digit, 9)


def leaving_free(measured: Measured, headroom: float) -> str:
    """The largest present loads of which a measured one shows that this share is free."""
    workers, rate = measured.workers * (1 - headroom), measured.jobs_per_s * (1 - headroom)
    # What a product loses in the last bit is not rounded down.
    return f"{math.floor(round(workers, 9))} workers or {rate:,.4g} jobs/s"


class Headroom(msgspec.Struct, frozen=True, kw_only=True):
    """Share of the capacity that is free: 0.5: twice the load would do; below 0: the load is too much.

    At least ``least`` (None: nothing measured bounds it), by ``fits``; less than ``most`` (None: no load that
    was measured was too much), by ``breaks``.
    """

    least: float | None = None
    most: float | None = None
    fits: Measured | None = None
    breaks: Measured | None = None


def loads(curves: Iterable[Curve]) -> tuple[Measured, ...]:
    """Each load on some curves once. Left out are those of several jobs a request, as their time is that of
    all of them, and those that did not meet the objective because they were requests in a closed loop, more
    of them at once than the workers have slots: these wait for each other, however much the engine bears.
    """
    found: dict[tuple[Kind, int, float], Measured] = {}
    for curve in curves:
        if curve.kind.batch != 1:
            continue
        base = msgspec.structs.replace(
            curve.kind, over=Over.WORKERS, load=None, per_worker=True, workers=None
        )
        for point in curve.points:
            if not point.met and _crowded(curve.kind, point):
                continue
            measured = _measured(point, base, curve.runs)
            found.setdefault((base, point.workers, measured.jobs_per_s), measured)
    return tuple(found.values())


def headroom(measured: Sequence[Measured], workers: int, jobs_per_s: float) -> Headroom:
    """What loads say of a present one; both its numbers are above 0."""
    fits = max(
        (one for one in measured if one.met),
        key=lambda one: min(one.workers / workers, one.jobs_per_s / jobs_per_s),
        default=None,
    )
    breaks = min(
        (one for one in measured if not one.met),
        key=lambda one: max(one.workers / workers, one.jobs_per_s / jobs_per_s),
        default=None,
    )
    return Headroom(
        least=None if fits is None else _free(min(fits.workers / workers, fits.jobs_per_s / jobs_per_s)),
        most=None if breaks is None else _free(max(breaks.workers / workers, breaks.jobs_per_s / jobs_per_s)),
        fits=fits,
        breaks=breaks,
    )


def _crowded(kind: Kind, point: Point) -> bool:
    if kind.loop is Loop.OPEN or kind.load is None:
        return False
    return kind.load > kind.slots * (1 if kind.per_worker else point.workers)


def _free(times: float) -> float:
    """The headroom if the load could be so many times as large."""
    return 1 - 1 / times if times > 0 else -math.inf


def _measured(point: Point, kind: Kind, runs: tuple[str, ...]) -> Measured:
    asked = point.asked_jobs_per_s
    return Measured(
        workers=point.workers,
        jobs_per_s=point.jobs_per_s if asked is None else asked,
        value_ms=point.value_ms,
        met=point.met,
        failed=point.failed,
        kind=kind,
        runs=runs,
    )

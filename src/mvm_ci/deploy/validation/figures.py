"""Single figures of a validation, and what is drawn of it."""

from collections.abc import Sequence
from typing import Final

from mvm_ci.deploy.validation.bench import Bench
from mvm_ci.deploy.validation.delays import REPORT, SUBMIT
from mvm_ci.deploy.validation.leaks import LIMITS
from mvm_ci.deploy.validation.report import Series
from mvm_ci.deploy.validation.samples import Samples
from mvm_ci.domain.statistics import summary

_SLICES: Final = 120
_LEAST_S: Final = 1.0


def figures(bench: Bench, samples: Samples) -> dict[str, float]:
    """By what they are."""
    settled = [entry for entry in bench.ledger.entries.values() if entry.settled_s is not None]
    children = sum(len(entry.children) for entry in bench.ledger.entries.values())
    found: dict[str, float] = {"jobs submitted": len(bench.ledger.entries), "their children": children}
    found["jobs whose end was checked"] = len(settled)
    found["sessions of workers that ended"] = len(bench.fleet.losses)
    for name, (first, last) in samples.counted.items():
        found[name] = max(0.0, last - first)
    return found


def series(bench: Bench, samples: Samples, took_s: float) -> dict[str, Series]:
    """By name; what there is nothing of is left out."""
    width = max(_LEAST_S, took_s / _SLICES)
    ends = [entry.settled_s for entry in bench.ledger.entries.values() if entry.settled_s is not None]
    found = {"throughput": Series(title="jobs that ended", unit="1/s", points=_rate(ends, width, took_s))}
    for name, title in ((REPORT, "status update, p99"), (SUBMIT, "submission, p99")):
        measured = [(delay.at_s, delay.ms) for delay in bench.delays.measured[name]]
        found[name] = Series(title=title, unit="ms", points=_worst(measured, width))
    for name, points in samples.points.items():
        limit = LIMITS[name]
        found[name] = Series(title=limit.title, unit=limit.unit, points=tuple(points))
    return {name: one for name, one in found.items() if one.points}


def _rate(ends: Sequence[float], width: float, took_s: float) -> tuple[tuple[float, float], ...]:
    slices = [0] * max(1, int(took_s / width))
    for at in ends:
        if at < len(slices) * width:
            slices[int(at / width)] += 1
    return tuple(((at + 0.5) * width, count / width) for at, count in enumerate(slices))


def _worst(measured: Sequence[tuple[float, float]], width: float) -> tuple[tuple[float, float], ...]:
    slices: dict[int, list[float]] = {}
    for at, value in measured:
        slices.setdefault(int(at / width), []).append(value)
    return tuple(((at + 0.5) * width, summary(values).p99) for at, values in sorted(slices.items()))

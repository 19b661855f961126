"""Results to report on: ramps of three options, a rate, single loads and a soak."""

from __future__ import annotations

from typing import Any

import msgspec

from mvm_ci.capacity.curve import Run
from mvm_ci.capacity.hdr import Histogram
from mvm_ci.capacity.results import Grown, Latency, Loop, Loss, Repetition, Soak, Step
from tests.unit.capacity.recorded import Law, ramp, rates, repetition, run, step

STRANGE = "<script>alert('&|')</script>"
WEAK = Law(lambda_=60.0, sigma=0.12, kappa=0.0008)


def latency(p99: float, jobs: int = 1000) -> Latency:
    """Nine tenths of the values are a third of ``p99``."""
    found = Histogram()
    found.add(p99 / 3, jobs - jobs // 10)
    found.add(p99, jobs // 10)
    return found.latency()


def repetitions(p99: float, *rates_: float, **fields: Any) -> tuple[Repetition, ...]:
    made = (repetition(rate, p99, **fields) for rate in rates_)
    return tuple(_with(one, latency(p99)) for one in made)


def measured(workers: int, p99: float, *rates_: float, option: int | None = 4, **fields: Any) -> Step:
    """Two requests at once of each worker, a repetition for each rate."""
    return step(
        workers,
        jobs_per_s=0,
        p99=p99,
        option=option,
        in_flight=workers * 2,
        repetitions=repetitions(p99, *rates_, **fields),
    )


def soak(**fields: Any) -> Soak:
    values: dict[str, Any] = {
        "step": step(20, jobs_per_s=50, p99=120, loop=Loop.OPEN, rate=50.0),
        "submitted": 90_012,
        "completed": 90_012,
        "failed": 0,
        "lost": 0,
        "doubled": 0,
        "repeated": 31,
        "losses": (Loss(worker="w1", at_s=300.0, back_s=316.5), Loss(worker="w2", at_s=900.0)),
        "grown": (grown("control-plane", within_noise=True), grown("workers", within_noise=True)),
    }
    return Soak(**values | fields)


def of_minutes(minutes: int) -> Step:
    """A load for so long."""
    return measured(20, 30, 50, measured_s=minutes * 60.0)


def grown(part: str, *, within_noise: bool) -> Grown:
    return Grown(
        part=part,
        what="memory",
        unit="MiB",
        per_hour=1.0 if within_noise else 20.0,
        noise_per_hour=10.0,
        within_noise=within_noise,
        points=tuple((float(at), 100.0 + at / 600) for at in range(0, 1801, 60)),
    )


def whole(**fields: Any) -> Run:
    """Everything that a result can hold."""
    steps = (
        *ramp(option=1),
        *ramp(WEAK, option=2),
        *ramp(WEAK, option=4),
        *rates(WEAK, 10, (20.0, 100.0, 400.0), option=4, profile="mixed"),
        *(
            step(7, jobs_per_s=50, p99=80, in_flight=count, profile="noop", option=4)
            for count in (100, 500, 1000)
        ),
    )
    return run(*steps, soak=soak(), notes=(f"a note {STRANGE}",), **fields)


def _with(one: Repetition, latency_: Latency) -> Repetition:
    return msgspec.structs.replace(one, latency=latency_)

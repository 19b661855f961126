"""What a latency must not exceed, and which measured loads can say whether it did. Pure."""

from statistics import median
from typing import Final

import msgspec

from mvm_ci.capacity.results import Loop, Step
from mvm_ci.domain.errors import BadInput

_SHARES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
_UNITS: Final = {"ms": 1.0, "s": 1000.0}
BEYOND: Final = 2
"""Jobs that must lie beyond a quantile, or it is one job's chance: 200 jobs for p99, of all repetitions."""
LEAST_JOBS: Final = 100
BROKEN: Final = 0.01
"""A load under which a larger share of jobs fails, and more than one, has broken the cluster."""


class Objective(msgspec.Struct, frozen=True):
    """A quantile of the latency and the most it may be, in milliseconds."""

    quantile: str
    ms: float

    def __str__(self) -> str:
        return f"{self.quantile}={self.ms:g}ms"

    @property
    def least_jobs(self) -> int:
        """Jobs without which a step says nothing about the quantile; requests, if each has several jobs."""
        return max(LEAST_JOBS, round(BEYOND / (1 - _SHARES[self.quantile])))

    def value(self, step: Step) -> float:
        """The quantile of a step, in milliseconds: median of its repetitions; 0.0 if it has none."""
        latencies = [one.latency for one in step.repetitions]
        return median([float(getattr(latency, self.quantile)) for latency in latencies] or [0.0])

    def met(self, step: Step) -> bool:
        """Whether a step met it: nothing was ``broken`` by it."""
        return not broken(step, self)


DEFAULT: Final = Objective("p99", 250.0)


def parse(text: str) -> Objective:
    """An objective of its text, ``p99=250ms``. Raises ``BadInput``."""
    quantile, equals, value = (part.strip() for part in text.partition("="))
    if not equals or quantile not in _SHARES:
        raise BadInput(
            f"objective {text!r}: write QUANTILE=TIME with one of {', '.join(_SHARES)}, as p99=250ms"
        )
    for unit, factor in _UNITS.items():
        number = value.removesuffix(unit).strip()
        if value.endswith(unit) and number.replace(".", "", 1).isdecimal() and float(number) > 0:
            return Objective(quantile, float(number) * factor)
    raise BadInput(f"objective {text!r}: {value!r} is no time above 0 in ms or s, as 250ms or 1.5s")


def asked_jobs_per_s(step: Step) -> float | None:
    """Jobs a second that an open loop sent; None in a closed one."""
    return None if step.loop is Loop.CLOSED or step.rate is None else step.rate * step.batch


def fell_behind(step: Step) -> bool:
    """Whether a cluster did not sustain the rate of an open loop, in most repetitions: then the queue grew as
    long as it went on.
    """
    return 2 * sum(bool(one.overload) for one in step.repetitions) > len(step.repetitions)


def broken(step: Step, objective: Objective | None) -> str:
    """Why a load broke the cluster: many jobs failed, it did not keep up with its rate (however that was
    timed), or it was too slow for the objective, if there is one. Empty if it did not.
    """
    if _many_failed(step):
        return f"{step.failed} of {_completed(step) + step.failed} jobs failed"
    if objective is None:
        return ""
    if fell_behind(step):
        return "it fell behind"
    return "" if objective.value(step) <= objective.ms else f"{objective} is broken"


def not_counted(step: Step, objective: Objective) -> str:
    """Why a step says nothing about an objective; empty if it does.

    A step that was not steady, or in which jobs failed, cannot show that the objective is met. It does show
    that it is not, if the cluster fell behind (no overload is ever steady), or if many jobs failed.
    """
    requests, noun = _completed(step) // step.batch, "jobs" if step.batch == 1 else "requests"
    if not step.repetitions:
        return f"nothing was measured: {step.ended_by or 'no repetition ended'}"
    if step.bottleneck:
        return f"the generator was the bottleneck: {step.bottleneck}"
    if fell_behind(step) or _many_failed(step):
        return ""
    if step.failed:
        return f"{step.failed} jobs failed"
    if requests < objective.least_jobs:
        return f"{requests} {noun} are too few for {objective.quantile}: {objective.least_jobs} are needed"
    return "" if all(one.steady for one in step.repetitions) else "it was not steady"


def _many_failed(step: Step) -> bool:
    return step.failed > max(1, BROKEN * (_completed(step) + step.failed))


def _completed(step: Step) -> int:
    return sum(one.jobs for one in step.repetitions)

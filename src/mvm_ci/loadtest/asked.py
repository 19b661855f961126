"""What a load test is to do. Pure.

A run is a number of fleets (options), each with a ramp of workers; at each number of workers every profile
is put under every load. A profile that broke in two steps of a ramp, one after the other, is left out after
that: the curve has its knee, and more of it shows nothing.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from mvm_ci.capacity.objective import Objective, broken
from mvm_ci.capacity.results import Loop, Step
from mvm_ci.domain.errors import BadInput

MOST_WORKERS: Final = 5_000
MOST_IN_FLIGHT: Final = 20_000
MOST_RATE: Final = 50_000
"""Requests a second; one process sends a fifth of it."""
_ENOUGH: Final = 2


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """One of: ``rate``: requests a second, whatever becomes of them; ``per_worker``: requests at once for
    each worker; ``at_once``: requests at once, however many workers there are.
    """

    rate: float | None = None
    per_worker: int | None = None
    at_once: int | None = None

    @property
    def loop(self) -> Loop:
        """Open for a rate, closed for the others."""
        return Loop.OPEN if self.rate is not None else Loop.CLOSED

    def in_flight(self, workers: int) -> int | None:
        """Requests at once, in a closed loop."""
        if self.rate is not None:
            return None
        return self.at_once or (self.per_worker or 1) * workers

    def told(self, workers: int) -> str:
        """In words."""
        if self.rate is not None:
            return f"{self.rate:g} requests a second"
        return f"{self.in_flight(workers)} requests at once"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """``workers``: in order; none: those that are there. ``batch``: jobs in each request; ``warm_up_s``: at
    most; ``measure_s``: of each repetition.
    """

    profiles: tuple[str, ...]
    workers: tuple[int, ...]
    loads: tuple[Load, ...]
    batch: int = 1
    repetitions: int = 3
    warm_up_s: float = 10.0
    measure_s: float = 10.0

    def checked(self) -> "Asked":
        """Itself. Raises ``BadInput`` for what can only be a mistake."""
        if max(self.workers, default=1) > MOST_WORKERS:
            raise BadInput(f"--workers: {max(self.workers)} are more than {MOST_WORKERS}")
        for load in self.loads:
            if (load.rate or 0) > MOST_RATE:
                raise BadInput(f"--rate: {load.rate:g} requests a second are more than {MOST_RATE}")
            at_once = load.in_flight(max(self.workers, default=1)) or 0
            if at_once > MOST_IN_FLIGHT:
                raise BadInput(f"{at_once} requests at once are more than {MOST_IN_FLIGHT}; ask for fewer")
        return self

    def steps(self) -> Iterator[tuple[int, str, Load]]:
        """Workers, profile, load: in the order in which they are measured."""
        for workers in self.workers:
            for profile in self.profiles:
                for load in self.loads:
                    yield workers, profile, load


class Broken:
    """Which profiles have broken, and are left out from now on."""

    def __init__(self, objective: Objective | None) -> None:
        self._objective = objective
        self._times: dict[tuple[str, Load | int], int] = {}

    def left_out(self, workers: int, profile: str, load: Load) -> bool:
        """Whether it broke twice."""
        return self._times.get(_ramp(workers, profile, load), 0) >= _ENOUGH

    def look(self, load: Load, step: Step) -> str:
        """Why the cluster broke in this step, or nothing."""
        why, ramp = self._why(step), _ramp(step.workers, step.profile, load)
        self._times[ramp] = self._times.get(ramp, 0) + 1 if why else 0
        return why

    def _why(self, step: Step) -> str:
        if not step.repetitions:
            return step.ended_by or "nothing was measured"
        return broken(step, self._objective)


def _ramp(workers: int, profile: str, load: Load) -> tuple[str, Load | int]:
    """Steps of one ramp are compared: rates at one number of workers, else workers under one load."""
    return profile, workers if load.rate is not None else load

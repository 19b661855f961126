"""What a validation found."""

from enum import StrEnum

import msgspec

from mvm_ci.deploy.validation.leaks import Growth
from mvm_ci.deploy.validation.ledger import Problem
from mvm_ci.domain.statistics import Summary


class Outcome(StrEnum):
    """Of one check. ``NOT_JUDGED``: nobody asked for it, or it cannot be told; ``UNFINISHED``: the
    validation ended before.
    """

    PASSED = "passed"
    FAILED = "failed"
    NOT_JUDGED = "not judged"
    UNFINISHED = "unfinished"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that must hold. ``text``: one line on what was found; ``details``: more lines."""

    name: str
    title: str
    outcome: Outcome
    text: str = ""
    details: tuple[str, ...] = ()


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """A figure over time: ``points`` are seconds since the beginning and the value."""

    title: str
    unit: str
    points: tuple[tuple[float, float], ...]


class Moment(msgspec.Struct, frozen=True):
    """Something that happened to the cluster, ``at_s`` since the beginning."""

    at_s: float
    text: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. Times are Unix milliseconds, or seconds since ``began_ms``.

    ``complete``: false if it was ended before its time, by ``ended_by``; ``delays``: milliseconds; ``left``:
    what it could not clean up.
    """

    url: str
    version: str
    namespace: str
    queue: str
    began_ms: int
    took_s: float
    duration_s: float
    complete: bool
    ended_by: str = ""
    checks: tuple[Check, ...]
    jobs: dict[str, int]
    delays: dict[str, Summary]
    clock_ahead_ms: float
    clock_uncertain_ms: float
    growth: tuple[Growth, ...]
    figures: dict[str, float]
    problems: tuple[Problem, ...]
    moments: tuple[Moment, ...]
    series: dict[str, Series]
    left: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether a check failed."""
        return any(check.outcome is Outcome.FAILED for check in self.checks)

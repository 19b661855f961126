"""What is a leak, and what is not. Pure.

A figure leaks if it grows for the whole run. Its first fifth is left out: a process that was started lately
still fills its caches. The rest is cut into three spans of equal time. Of each the lowest value counts, so
that what comes and goes between two looks does not matter. A leak is what grew by half of its limit from the
first to the second span, and once more by that to the third: noise does not grow twice, and what fills up and
then stays does not grow the second time.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from mvm_ci.domain.statistics import slope

SHORTEST_S: Final = 600.0
"""Runs below this tell nothing: a warm-up looks like a leak."""
_LEAST: Final = 12
_WARM_UP: Final = 0.2

Point = tuple[float, float]
"""Seconds since the beginning, value."""


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """``floor`` and ``share`` (of the lowest value of the first span): growth below the higher of them is
    none.
    """

    title: str
    unit: str
    floor: float
    share: float


LIMITS: Final[Mapping[str, Limit]] = {
    "memory": Limit(title="memory of the control plane", unit="MiB", floor=16, share=0.1),
    "files": Limit(title="open files of the control plane", unit="", floor=16, share=0.1),
    "waits": Limit(title="waiting requests", unit="", floor=16, share=0.1),
    "log": Limit(title="write-ahead log of the store", unit="MiB", floor=64, share=0.5),
    "lag": Limit(title="lag of the event loop", unit="ms", floor=20, share=0.5),
}
"""By the name of the figure."""


class Growth(msgspec.Struct, frozen=True, kw_only=True):
    """Of one figure. ``lowest``: of each span; ``per_hour``: its slope; ``limit``: what it may grow by."""

    name: str
    leak: bool
    lowest: tuple[float, ...]
    limit: float
    per_hour: float

    def told(self) -> str:
        """In words."""
        known = LIMITS[self.name]
        unit = f" {known.unit}" if known.unit else ""
        spans = " → ".join(f"{value:.4g}" for value in self.lowest)
        growing = "LEAK: " if self.leak else ""
        limit = f"a leak grows by {self.limit / 2:.3g}{unit} from span to span"
        return f"{growing}{known.title}: {spans}{unit}, {self.per_hour:+.3g}{unit} an hour; {limit}"


def growth(name: str, points: Sequence[Point]) -> Growth | None:
    """What became of the figure ``name``; None if there are too few points, in order of time."""
    if len(points) < _LEAST:
        return None
    begin, end = points[0][0], points[-1][0]
    begin += (end - begin) * _WARM_UP
    judged = [point for point in points if point[0] >= begin]
    length = (end - begin) / 3
    spans: list[list[float]] = [[], [], []]
    for at, value in judged:
        spans[min(2, int((at - begin) / length)) if length else 0].append(value)
    if not all(spans):
        return None
    first, second, third = lowest = tuple(min(span) for span in spans)
    limit = max(LIMITS[name].floor, LIMITS[name].share * first)
    return Growth(
        name=name,
        leak=second - first >= limit / 2 and third - second >= limit / 2,
        lowest=lowest,
        limit=limit,
        per_hour=slope(judged) * 3600,
    )

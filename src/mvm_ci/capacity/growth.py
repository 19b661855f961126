"""Whether a figure grows for as long as a load lasts, or only scatters. Pure.

The first fifth is left out: caches still fill. A straight line is laid through the rest; its slope is the
median of the slopes of pairs. What the figure grew by along that line is within noise if it is no more than
the figure scatters around it (the span that holds nine tenths of the differences), or than ``floor``, below
which nobody could tell.
"""

from collections.abc import Sequence
from typing import Final

from mvm_ci.capacity.results import Grown
from mvm_ci.domain.statistics import quantile, slope

Point = tuple[float, float]
"""Seconds since the beginning, value."""

SHORTEST_S: Final = 600.0
"""Less tells nothing: connections and caches still fill."""
LEAST: Final = 20
"""Fewer points tell nothing either."""
_WARM_UP: Final = 0.2
_KEPT: Final = 300
"""Points that a result keeps."""
FLOORS: Final = {"memory": (4.0, "MiB"), "open files": (4.0, ""), "disk": (8.0, "MiB")}
"""By what it is, with its unit."""


def grown(part: str, what: str, points: Sequence[Point]) -> Grown | None:
    """What became of the figure ``what`` (one of ``FLOORS``) of a part; None if there are too few points, in
    order of time.
    """
    if len(points) < LEAST or points[-1][0] - points[0][0] < SHORTEST_S:
        return None
    begin, end = points[0][0], points[-1][0]
    judged = [point for point in points if point[0] >= begin + (end - begin) * _WARM_UP]
    per_s = slope(judged)
    off = sorted(value - per_s * at for at, value in judged)
    span_s = judged[-1][0] - judged[0][0]
    floor, unit = FLOORS[what]
    scatter = max(floor, quantile(off, 0.95) - quantile(off, 0.05))
    step = max(1, -(-len(points) // _KEPT))
    return Grown(
        part=part,
        what=what,
        unit=unit,
        per_hour=per_s * 3600,
        noise_per_hour=scatter / span_s * 3600,
        within_noise=per_s * span_s <= scatter,
        points=tuple(points[::step]),
    )

"""Figures of many measured values: quantiles, and how fast a series grows. Pure."""

import math
from collections.abc import Sequence
from itertools import combinations
from statistics import median

import msgspec

_PAIRED = 150
"""Points of which all pairs are looked at."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Of ``count`` values, in their unit; all 0 if there are none."""

    count: int = 0
    p50: float = 0.0
    p99: float = 0.0
    largest: float = 0.0


def summary(values: Sequence[float]) -> Summary:
    """What is to be said of values in any order."""
    if not values:
        return Summary()
    ordered = sorted(values)
    return Summary(
        count=len(ordered), p50=quantile(ordered, 0.5), p99=quantile(ordered, 0.99), largest=ordered[-1]
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest of the ``ordered`` values that ``share`` of them do not exceed. Raises ``ValueError`` if
    there are none.
    """
    if not ordered:
        raise ValueError("no values")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How fast the second grows with the first: the median of the slopes of pairs, so that a few strange
    values do not matter. 0 if fewer than two of the first differ.
    """
    step = max(1, math.ceil(len(points) / _PAIRED))
    pairs = combinations(points[::step], 2)
    slopes = [(later[1] - one[1]) / (later[0] - one[0]) for one, later in pairs if later[0] != one[0]]
    return median(slopes) if slopes else 0.0

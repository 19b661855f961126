"""How often values fell where: a few integers, cheap to add to. Pure."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

LAG_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
"""Bounds for what should take milliseconds, in seconds."""


class Histogram:
    """``bounds``: upper ends, growing; what is above them all counts, too. One thread adds at a time."""

    __slots__ = ("_counts", "bounds", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self._counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0
        """The sum of all values."""

    def add(self, value: float) -> None:
        """One more value."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def add_all(self, values: Sequence[float]) -> None:
        """Many values at once, which mostly lie close together: then two look-ups do for all of them."""
        if not values:
            return
        bounds, counts = self.bounds, self._counts
        low, high = bisect_left(bounds, min(values)), bisect_left(bounds, max(values))
        if low == high:
            counts[low] += len(values)
        else:
            for value in values:
                counts[bisect_left(bounds, value)] += 1
        self.total += sum(values)

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self._counts)

    def cumulative(self) -> list[int]:
        """For each bound, and at last for none: how many values were not above it."""
        found: list[int] = []
        sofar = 0
        for count in self._counts:
            sofar += count
            found.append(sofar)
        return found

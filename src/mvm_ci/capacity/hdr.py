"""Latencies in little room: a high dynamic range histogram, after Gil Tene's. Pure.

Buckets are log-linear: each power of two is cut into 128 equal parts. From 1 µs to 1 h the middle of a bucket
is at most 0.4 % off every value in it, in about 4,000 buckets, of which only those that hold something exist.
"""

import math
from typing import Final, Self

from mvm_ci.capacity.results import Latency

PRECISION: Final = 0.004
"""Relative; of every quantile."""
LOWEST_MS: Final = 0.001
HIGHEST_MS: Final = 3_600_000.0
_UNIT_MS: Final = LOWEST_MS / 128  # so that the lowest values are as precise as all others
_BITS: Final = 7


class Histogram:
    """Of values in milliseconds; what is beyond the range counts as its end. ``buckets``: counts by
    index; ``total``: the sum of all values.
    """

    __slots__ = ("buckets", "count", "largest", "total")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.count = 0
        self.largest = 0.0
        self.total = 0.0

    @classmethod
    def of(cls, latency: Latency) -> Self:
        """What ``latency()`` was made of."""
        found = cls()
        found.buckets = dict(latency.buckets)
        found.count = sum(latency.buckets.values())
        found.largest = latency.largest
        found.total = latency.mean * found.count
        return found

    def add(self, value: float, count: int = 1) -> None:
        """So many values more, all of them ``value``. Raises ``ValueError`` for what is no number of
        milliseconds.
        """
        if not 0 <= value < math.inf:
            raise ValueError(f"{value} is no number of milliseconds")
        value = min(max(value, LOWEST_MS), HIGHEST_MS)
        index = _index(value)
        self.buckets[index] = self.buckets.get(index, 0) + count
        self.count += count
        self.total += value * count
        self.largest = max(self.largest, value)

    def merge(self, other: "Histogram") -> None:
        """All values of another one, too."""
        for index, count in other.buckets.items():
            self.buckets[index] = self.buckets.get(index, 0) + count
        self.count += other.count
        self.total += other.total
        self.largest = max(self.largest, other.largest)

    @property
    def mean(self) -> float:
        """0 if there are no values."""
        return self.total / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """The smallest value that ``share`` (0 to 1) of them do not exceed; 0 if there are none."""
        (found,) = self.quantiles(share)
        return found

    def quantiles(self, *shares: float) -> list[float]:
        """The same of several shares, which grow."""
        found: list[float] = []
        ordered = iter(sorted(self.buckets.items()))
        index, seen = -1, 0
        for share in shares:
            wanted = max(1, math.ceil(share * self.count))
            while seen < wanted and self.count:
                index, count = next(ordered)
                seen += count
            found.append(min(_middle(index), self.largest) if self.count else 0.0)
        return found

    def latency(self) -> Latency:
        """As results have it."""
        p50, p90, p99, p999 = self.quantiles(0.5, 0.9, 0.99, 0.999)
        return Latency(
            mean=self.mean,
            p50=p50,
            p90=p90,
            p99=p99,
            p999=p999,
            largest=self.largest,
            buckets=dict(sorted(self.buckets.items())),
        )


def _index(value: float) -> int:
    units = int(value / _UNIT_MS)
    shift = max(0, units.bit_length() - _BITS - 1)
    return (shift << _BITS) + (units >> shift)


def _middle(index: int) -> float:
    shift = max(0, (index >> _BITS) - 1)
    return ((index - (shift << _BITS) << shift) + (1 << shift) / 2) * _UNIT_MS

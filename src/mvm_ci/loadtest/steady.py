"""Whether a load has settled: throughput without a trend. Pure.

The span is cut into slices of equal time. Their counts have a trend if a Mann-Kendall test finds one (1 of
100 spans without a trend is taken for one with it), and if it matters: along its slope (Theil-Sen) the counts
change by more than a tenth of their median.
"""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Final

from mvm_ci.domain.statistics import slope

LEAST: Final = 8
"""Slices that are needed to tell."""
MOST: Final = 40
_Z: Final = 2.576
_MATTERS: Final = 0.1


def steady(slices: Sequence[float]) -> bool:
    """Whether the slices have no trend; False if they are fewer than ``LEAST``, or mostly empty."""
    if len(slices) < LEAST or median(slices) <= 0:
        return False
    change = abs(slope(list(enumerate(slices)))) * (len(slices) - 1)
    return change <= _MATTERS * median(slices) or abs(trend(slices)) <= _Z


def slices(counts: Sequence[int]) -> list[float]:
    """The same span in fewer slices, ``MOST`` at most: longer ones have less scatter."""
    if len(counts) <= MOST:
        return list(map(float, counts))
    ends = [len(counts) * at // MOST for at in range(MOST + 1)]
    return [sum(counts[one:end]) / (end - one) for one, end in pairwise(ends)]


def trend(values: Sequence[float]) -> float:
    """How many standard deviations the values' order is from chance (Mann-Kendall): above 0 if they grow."""
    count = len(values)
    score = sum((later > one) - (later < one) for at, one in enumerate(values) for later in values[at + 1 :])
    ties = sum(_pairs(same) for same in Counter(values).values())
    variance = (_pairs(count) - ties) / 18
    if score == 0 or variance <= 0:
        return 0.0
    return (score - math.copysign(1, score)) / math.sqrt(variance)


def _pairs(count: int) -> int:
    return count * (count - 1) * (2 * count + 5)

"""How long guests of a module compute: decides how many are handed over at once."""

from collections import OrderedDict
from typing import Final

from mvm_ci.domain.ids import Digest

SMALL_NS: Final = 5_000_000
"""Guests below this are handed over in batches."""
_WEIGHT: Final = 0.2
_KNOWN: Final = 4096


class RunTimes:
    """A moving average for each module seen lately."""

    def __init__(self) -> None:
        self._average: OrderedDict[Digest, float] = OrderedDict()

    def observe(self, module: Digest, run_ns: int) -> None:
        """A guest of ``module`` computed for this long, waiting not included."""
        known = self._average.pop(module, None)
        self._average[module] = run_ns if known is None else known + _WEIGHT * (run_ns - known)
        if len(self._average) > _KNOWN:
            self._average.popitem(last=False)

    def small(self, module: Digest) -> float | None:
        """The average in nanoseconds if it is known and small, else None."""
        average = self._average.get(module)
        return average if average is not None and average < SMALL_NS else None

"""Until when what is to happen to placements has to have happened."""

from collections.abc import Iterator
from math import inf

from mvm_ci.engine.live import Live


class Deadlines:
    """One time for each placement. To look costs nothing while none has passed."""

    def __init__(self) -> None:
        self._times: dict[Live, float] = {}
        self._next = inf

    def __bool__(self) -> bool:
        return bool(self._times)

    def __iter__(self) -> Iterator[Live]:
        return iter(self._times)

    def add(self, live: Live, at: float) -> None:
        """``live`` has until ``at``; an earlier time of it counts no more."""
        self._times[live] = at
        self._next = min(self._next, at)

    def discard(self, live: Live) -> None:
        """It happened, or need not happen any more."""
        self._times.pop(live, None)

    def passed(self, now: float) -> list[Live]:
        """Whose time is over; each is told once."""
        if now <= self._next:
            return []
        found = [live for live, at in self._times.items() if now > at]
        for live in found:
            del self._times[live]
        self._next = min(self._times.values(), default=inf)
        return found

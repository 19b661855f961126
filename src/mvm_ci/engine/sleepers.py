"""What waits for a time of the wall clock, which may be set meanwhile."""

import heapq
import time
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_JUMP_NS: Final = 1_000_000
"""A wall clock that moved by this much against the time since the start was set."""
_LOOK_S: Final = 1.0
"""A clock that is set is noticed after this long."""


class Sleepers(Generic[T]):
    """Set forward, the wall clock ends a wait; set back, it makes it no longer than it was."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, T]] = []
        self._serial = 0
        self._offset = _offset()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, wall_ns: int, who: T) -> None:
        """``who`` is due when the wall clock shows ``wall_ns``."""
        self._serial += 1
        left_ns = wall_ns - time.time_ns()
        heapq.heappush(self._heap, (_running_ns() + left_ns, self._serial, wall_ns, who))

    def remove(self, who: T) -> None:
        """``who`` waits no more, if it did."""
        self._heap = [entry for entry in self._heap if entry[3] is not who]
        heapq.heapify(self._heap)

    def next_s(self) -> float | None:
        """Seconds until somebody may be due; None if nobody waits."""
        if not self._heap:
            return None
        return min(max(0.0, (self._heap[0][0] - _running_ns()) / 1e9), _LOOK_S)

    def due(self) -> list[T]:
        """Takes out those whose time has come."""
        if not self._heap:
            return []
        offset = _offset()
        if abs(offset - self._offset) >= _JUMP_NS:
            self._offset = offset
            self._heap = [(min(at, wall - offset), serial, wall, who) for at, serial, wall, who in self._heap]
            heapq.heapify(self._heap)
        now = _running_ns()
        found = []
        while self._heap and self._heap[0][0] <= now:
            found.append(heapq.heappop(self._heap)[3])
        return found


def _running_ns() -> int:
    """Time since the machine started, its sleep included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def _offset() -> int:
    return time.time_ns() - _running_ns()

"""Placements that stand in line for a runner, and who goes where.

A guest that kills its runner costs all others there a replay, and nobody saw which one it was. So after a
death all of them are suspects: they stand in a line of their own, and share their next runner with fewer;
with fewer still when that dies, too, and in the end with nobody. Only who was alone when a runner died is
blamed for it; and that clears those who died with it before.
"""

from collections import deque
from collections.abc import Sequence
from heapq import heapify, heappop, heapreplace
from typing import Final

from mvm_ci.engine.live import MAX_GUESTS, Live
from mvm_ci.engine.run_times import RunTimes
from mvm_ci.engine.seat import SLOT_NS, Seat

BATCH: Final = 64
"""Quick guests that share a slot at most."""
_LEAST_NS: Final = SLOT_NS // BATCH


class Line:
    """See the module's docstring."""

    def __init__(self, times: RunTimes) -> None:
        self._times = times
        self._ready: deque[Live] = deque()
        self._suspects: deque[Live] = deque()
        self._quarantine: Seat | None = None

    def __bool__(self) -> bool:
        """Whether somebody may stand in line."""
        return bool(self._ready or self._suspects)

    def add(self, live: Live) -> None:
        """It goes last."""
        self._of(live).append(live)

    def add_first(self, live: Live) -> None:
        """It had its turn already: it goes first."""
        self._of(live).appendleft(live)

    def hand_out(self, seats: Sequence[Seat]) -> dict[int, list[Live]]:
        """Gives seats that are low all that they can take, the one with the least load first.

        Who got what, by index.
        """
        self._choose_quarantine(seats)
        taken: dict[int, list[Live]] = {}
        # Of those that rest or wait a runner has no load now, but will.
        least = [(seat.load_ns, len(seat.tasks), index) for index, seat in enumerate(seats) if seat.low]
        heapify(least)
        while least:
            index = least[0][2]
            seat = seats[index]
            live = self._next(seat)
            if live is None:
                heappop(least)
                continue
            seat.take(live, self._weight_ns(live))
            taken.setdefault(index, []).append(live)
            if seat.open:
                heapreplace(least, (seat.load_ns, len(seat.tasks), index))
            else:
                heappop(least)
        return taken

    def _of(self, live: Live) -> deque[Live]:
        return self._suspects if live.doubts and live.most < MAX_GUESTS else self._ready

    def _next(self, seat: Seat) -> Live | None:
        if seat is not self._quarantine:
            live = _first(self._ready)
            if live is not None:
                return self._ready.popleft()
        live = _first(self._suspects)
        return self._suspects.popleft() if live is not None and seat.fits(live) else None

    def _choose_quarantine(self, seats: Sequence[Seat]) -> None:
        """While suspects stand in line, one seat takes nobody else: so they have their turn, and only there
        do others wait for it.
        """
        if _first(self._suspects) is None:
            self._quarantine = None
        elif self._quarantine is None or not self._quarantine.usable:
            usable = [seat for seat in seats if seat.usable]
            self._quarantine = min(usable, key=lambda seat: len(seat.tasks), default=None)

    def _weight_ns(self, live: Live) -> int:
        if live.large or live.doubts:
            return SLOT_NS
        small = self._times.small(live.placement.spec.module)
        return SLOT_NS if small is None else max(_LEAST_NS, int(small))


def _first(line: deque[Live]) -> Live | None:
    """The first that still is to run."""
    while line and line[0].gone:
        line.popleft()
    return line[0] if line else None

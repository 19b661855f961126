"""Fair turns: keys that have work share what is given out, however much work each of them has."""

from collections import OrderedDict
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Final

_REMEMBERED: Final = 10_000
"""Keys without work whose account is kept, so that a key that comes and goes gains nothing by it."""


class FairQueue:
    """Lanes by fairness key. Start-time fair queueing: each key has an account of what it got; the key with
    the smallest one is next; a key that comes anew starts at the account of the one that was last.
    """

    __slots__ = ("_accounts", "_floor", "_heap", "_lanes", "_serial")

    def __init__(self) -> None:
        self._lanes: dict[str, OrderedDict[int, None]] = {}
        self._accounts: dict[str, int] = {}
        self._heap: list[tuple[int, int, str]] = []
        self._floor = 0
        self._serial = 0

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def __len__(self) -> int:
        """How many keys have work."""
        return len(self._lanes)

    def __iter__(self) -> Iterator[int]:
        for lanes in self._lanes.values():
            yield from lanes

    def add(self, key: str, lane: int, *, first: bool) -> None:
        """A lane of ``key`` has work; ``first``: before the key's other lanes."""
        lanes = self._lanes.get(key)
        if lanes is None:
            lanes = self._lanes[key] = OrderedDict()
            self._accounts[key] = max(self._accounts.get(key, 0), self._floor)
            self._push(key)
        lanes[lane] = None
        lanes.move_to_end(lane, last=not first)

    def peek(self) -> tuple[int, str, int] | None:
        """Account, key and lane of whose turn it is; None if there is no work."""
        while self._heap:
            account, _, key = self._heap[0]
            if key in self._lanes and self._accounts[key] == account:
                return account, key, next(iter(self._lanes[key]))
            heappop(self._heap)
        return None

    def charge(self, key: str, lane: int, count: int) -> None:
        """``lane`` got ``count``; the key's next lane has the next turn. Nothing for what is not there."""
        lanes = self._lanes.get(key)
        if lanes is None or not count:
            return
        self._floor = max(self._floor, self._accounts[key])
        self._accounts[key] += count
        if next(iter(lanes)) == lane and not lane & 1:
            lanes.move_to_end(lane)
        self._push(key)

    def remove(self, key: str, lane: int) -> bool:
        """The lane has no work any more, or may not be given any now. False if it was not there."""
        lanes = self._lanes.get(key)
        if lanes is None or lane not in lanes:
            return False
        del lanes[lane]
        if not lanes:
            del self._lanes[key]
            # As many steps as keys have come since the last time: few for each.
            if len(self._accounts) > 2 * len(self._lanes) + _REMEMBERED:
                self._accounts = {known: self._accounts[known] for known in self._lanes}
        return True

    def _push(self, key: str) -> None:
        self._serial += 1
        heappush(self._heap, (self._accounts[key], self._serial, key))

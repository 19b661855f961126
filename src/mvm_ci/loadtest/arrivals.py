"""When requests leave: by a clock, whatever became of the ones before (open loop), or each after the answer
to one before (closed loop).
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Protocol

Ask = Callable[[float, float], Awaitable[bool]]
"""Makes a request of which is known when it was due, and from when on nothing held it back; by the
performance counter. Returns False if it failed, and raises nothing.
"""

_TIMER_S: Final = 0.001
"""The least that is waited: timers have milliseconds, and for less the loop would not wait at all, but turn
round and round.
"""
_EARLY_S: Final = _TIMER_S / 2
"""What is due within half of that leaves now, so that on average none is late."""
_BURST: Final = 64
"""Requests that leave before answers are looked at."""
_PAUSE_S: Final = 0.1
"""After a failure in a closed loop: what fails at once is not to be asked for as fast as it can fail."""


class Arrivals(Protocol):
    """``under_way``: requests without an answer, each a task; ``held_s``: for how long one that was due could
    not leave, because too many were under way.
    """

    held_s: float

    @property
    def under_way(self) -> int: ...

    async def run(self) -> None:
        """Makes requests until it is cancelled; those under way go on."""
        ...

    def forget(self) -> None:
        """What was due before now is due no more."""
        ...

    async def drain(self, limit_s: float) -> None:
        """Returns when none is under way; after so long, or if cancelled, the rest is cancelled."""
        ...

    def owed(self, until_s: float) -> tuple[int, float]:
        """Requests that were due by then and have not left, and when the first of them was due."""
        ...


class OpenLoop:
    """Poisson arrivals, ``rate`` requests a second. At most ``most`` are under way: beyond that they leave
    late, and count from when they were due all the same.
    """

    def __init__(self, ask: Ask, rate: float, most: int, seed: int) -> None:
        self.held_s = 0.0
        self._ask = ask
        self._rate = rate
        self._gaps = gaps(rate, seed)
        self._due = self._free_s = 0.0
        self._places = asyncio.Semaphore(most)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def under_way(self) -> int:
        return len(self._tasks)

    async def run(self) -> None:
        clock = time.perf_counter
        self._due = clock() + next(self._gaps)
        while True:
            wait_s = self._due - _EARLY_S - clock()
            await asyncio.sleep(max(wait_s, _TIMER_S) if wait_s > 0 else 0)
            for _ in range(_BURST):
                if self._due > clock() + _EARLY_S:
                    break
                due = self._due
                self._due += next(self._gaps)
                await self._leave(due)

    def forget(self) -> None:
        self._due = max(self._due, time.perf_counter())

    async def drain(self, limit_s: float) -> None:
        await _drain(self._tasks, limit_s)

    def owed(self, until_s: float) -> tuple[int, float]:
        return max(0, round((until_s - self._due) * self._rate)) if self._due else 0, self._due

    async def _leave(self, due: float) -> None:
        if self._places.locked():
            began = time.perf_counter()
            await self._places.acquire()
            self._free_s = time.perf_counter()
            self.held_s += self._free_s - began
        else:
            await self._places.acquire()
        task = asyncio.create_task(self._one(due, max(due, self._free_s)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _one(self, due: float, ready: float) -> None:
        try:
            await self._ask(due, ready)
        finally:
            self._places.release()


class ClosedLoop:
    """``in_flight`` requests at any time."""

    held_s = 0.0

    def __init__(self, ask: Ask, in_flight: int) -> None:
        self._ask = ask
        self._in_flight = in_flight
        self._over = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def under_way(self) -> int:
        return len(self._tasks)

    async def run(self) -> None:
        for _ in range(self._in_flight):
            task = asyncio.create_task(self._lane())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._over = True

    def forget(self) -> None:
        """Nothing is due by a clock."""

    async def drain(self, limit_s: float) -> None:
        await _drain(self._tasks, limit_s)

    def owed(self, until_s: float) -> tuple[int, float]:  # noqa: ARG002 - as above
        return 0, 0.0

    async def _lane(self) -> None:
        while not self._over:
            now = time.perf_counter()
            if not await self._ask(now, now) and not self._over:
                await asyncio.sleep(_PAUSE_S)


def gaps(rate: float, seed: int) -> Iterator[float]:
    """Seconds from one arrival to the next, of a Poisson process."""
    chance = random.Random(seed)
    while True:
        yield chance.expovariate(rate)


async def _drain(tasks: set[asyncio.Task[None]], limit_s: float) -> None:
    left = set(tasks)
    try:
        if left:
            _, left = await asyncio.wait(left, timeout=limit_s)
    finally:
        for task in left:
            task.cancel()
    if left:
        await asyncio.wait(left)

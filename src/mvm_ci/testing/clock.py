"""A clock that a test moves."""

import asyncio
import heapq
from typing import Final

_SETTLE_TURNS: Final = 20
"""Loop turns given to whoever woke up, so that chains of awaits reach their next wait."""


class FakeClock:
    """``ports.clock.Clock`` whose time stands still between calls of ``advance``."""

    def __init__(self, now_ms: int = 1_700_000_000_000, lease_ms: int = 5_000_000) -> None:
        self._now = now_ms
        self._lease = lease_ms
        self._elapsed = 0.0
        self._serial = 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._more_sleepers = asyncio.Event()

    def now_ms(self) -> int:
        return self._now + int(self._elapsed)

    def lease_ms(self) -> int:
        return self._lease + int(self._elapsed)

    async def sleep(self, ms: float) -> None:
        if ms <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._serial += 1
        heapq.heappush(self._sleepers, (self._elapsed + ms, self._serial, woken))
        self._more_sleepers.set()
        await woken

    @property
    def sleeping(self) -> int:
        """How many wait for time to pass."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def until_sleeping(self, count: int) -> None:
        """Returns when at least ``count`` wait: the fact to wait for before moving on."""
        while self.sleeping < count:
            self._more_sleepers.clear()
            await self._more_sleepers.wait()

    def jump(self, ms: float) -> None:
        """Time passes and nobody notices: a frozen process, or a machine that slept."""
        self._elapsed += ms

    async def advance(self, ms: float) -> None:
        """Lets time pass; sleepers wake in order, each at its own time, and may sleep again meanwhile."""
        target = self._elapsed + ms
        await settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            due, _, woken = heapq.heappop(self._sleepers)
            if woken.done():
                continue
            self._elapsed = max(self._elapsed, due)
            woken.set_result(None)
            await settle()
        self._elapsed = target
        await settle()


async def settle() -> None:
    """Lets tasks that can run do so. Only for what needs no real I/O."""
    for _ in range(_SETTLE_TURNS):
        await asyncio.sleep(0)

"""Wake: suspended and scheduled jobs become pending when their time has come. One timer, no polling."""

import asyncio
from collections.abc import Callable

import structlog

from mvm_ci.domain.errors import Unavailable
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import JobQueue

log = structlog.get_logger(__name__)

BATCH = 1_000
LONGEST_NAP_MS = 30_000
"""The wall clock may jump (a laptop's sleep, NTP): no timer runs longer before it is compared with the
clock again.
"""
PAUSE_MS = 1_000
"""Before a store that failed is asked again."""


class Waker:
    """Keeps the earliest time at which a job wakes. ``woken`` is told how many jobs became pending."""

    def __init__(self, queue: JobQueue, clock: Clock, woken: Callable[[], None]) -> None:
        self._queue = queue
        self._clock = clock
        self._woken = woken
        self._earliest: int | None = None
        self._sooner = asyncio.Event()

    def arm(self, wake_ms: int) -> None:
        """A job waits until ``wake_ms`` (Unix milliseconds)."""
        if self._earliest is None or wake_ms < self._earliest:
            self._earliest = wake_ms
            self._sooner.set()

    async def run(self) -> None:
        """Runs until it is cancelled."""
        while True:
            try:
                await self._wake_all()
            except Unavailable as error:
                log.warning("wake_failed", error=str(error), again_in_ms=PAUSE_MS)
                await self._clock.sleep(PAUSE_MS)
                continue
            await self._until_due()

    async def _wake_all(self) -> None:
        # Forgotten before the store is asked: what is armed meanwhile must not be lost.
        self._earliest = None
        self._sooner.clear()
        while True:
            count = await self._queue.wake(self._clock.now_ms(), BATCH)
            if count:
                self._woken()
            if count < BATCH:
                break
        following = await self._queue.next_wake()
        if following is not None:
            self.arm(following)

    async def _until_due(self) -> None:
        while True:
            self._sooner.clear()
            if self._earliest is None:
                await self._sooner.wait()
                continue
            left = self._earliest - self._clock.now_ms()
            if left <= 0:
                return
            await first_of(self._clock, min(left, LONGEST_NAP_MS), self._sooner)


async def first_of(clock: Clock, ms: float, event: asyncio.Event) -> bool:
    """Waits for ``event``, at most ``ms`` milliseconds of ``clock``. Whether the event is set."""
    tasks = {asyncio.ensure_future(clock.sleep(ms)), asyncio.ensure_future(event.wait())}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return event.is_set()

"""Wake: what happens to jobs when their time has come. One timer each, no polling."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import structlog

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.lane import Lane
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


class Alarm(ABC):
    """Keeps the earliest time at which something is due in the queue, and carries it out then."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._earliest: int | None = None
        self._sooner = asyncio.Event()

    @abstractmethod
    async def due(self, now_ms: int) -> bool:
        """Carries out what is due, in part; False if nothing more is. Raises ``Unavailable``."""

    @abstractmethod
    async def following(self) -> int | None:
        """When the next thing is due. Raises ``Unavailable``."""

    def arm(self, at_ms: int) -> None:
        """Something is due at ``at_ms`` (Unix milliseconds), or may be."""
        if self._earliest is None or at_ms < self._earliest:
            self._earliest = at_ms
            self._sooner.set()

    async def run(self) -> None:
        """Runs until it is cancelled."""
        while True:
            try:
                await self._carry_out()
            except Unavailable as error:
                log.warning("alarm_failed", alarm=type(self).__name__, error=str(error), again_in_ms=PAUSE_MS)
                await self._clock.sleep(PAUSE_MS)
                continue
            await self._until_due()

    async def _carry_out(self) -> None:
        # Forgotten before the store is asked: what is armed meanwhile must not be lost.
        self._earliest = None
        self._sooner.clear()
        while await self.due(self._clock.now_ms()):
            pass
        following = await self.following()
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


class Waker(Alarm):
    """Suspended and scheduled jobs become pending when their time has come; ``woken`` is told in which lanes,
    by number.
    """

    def __init__(self, queue: JobQueue, clock: Clock, woken: Callable[[Mapping[int, Lane]], None]) -> None:
        super().__init__(clock)
        self._queue = queue
        self._woken = woken

    async def due(self, now_ms: int) -> bool:
        woken = await self._queue.wake(now_ms, BATCH)
        if woken.jobs:
            self._woken(woken.lanes)
        return woken.jobs == BATCH

    async def following(self) -> int | None:
        return await self._queue.next_wake()


class Expirer(Alarm):
    """Jobs that no worker took in time fail; ``expired`` is told which."""

    def __init__(self, queue: JobQueue, clock: Clock, expired: Callable[[Sequence[JobId]], None]) -> None:
        super().__init__(clock)
        self._queue = queue
        self._expired = expired

    async def due(self, now_ms: int) -> bool:
        jobs = await self._queue.expire(now_ms, BATCH)
        self._expired(jobs)
        return len(jobs) == BATCH

    async def following(self) -> int | None:
        return await self._queue.next_expiry()


class Overdue(Alarm):
    """Jobs that have not ended by their deadline fail; ``failed`` is told which. A worker fails those that it
    has; so what comes back from one late is looked at once more.

    An ``EndListener``, which knows the deadlines of all jobs that have not ended.
    """

    def __init__(self, queue: JobQueue, clock: Clock, failed: Callable[[Sequence[JobId]], None]) -> None:
        super().__init__(clock)
        self._queue = queue
        self._failed = failed
        self._deadlines: dict[JobId, int] = {}

    async def restore(self) -> None:
        """After the start. Raises ``Unavailable``."""
        self._deadlines = await self._queue.deadlines()

    def added(self, job: JobId, deadline_ms: int) -> None:
        """A job that must end by then is durable."""
        self._deadlines[job] = deadline_ms
        self.arm(deadline_ms)

    def unplaced(self, placements: Sequence[Placed]) -> None:
        """These are at no worker any more."""
        if self._deadlines:
            now = self._clock.now_ms()
            if any(self._deadlines.get(placed.job, now + 1) <= now for placed in placements):
                self.arm(now)

    def concerns(self, job: JobId) -> bool:
        return job in self._deadlines

    def ended(self, jobs: Sequence[JobId]) -> None:
        if self._deadlines:
            for job in jobs:
                self._deadlines.pop(job, None)

    async def due(self, now_ms: int) -> bool:
        jobs = await self._queue.overdue(now_ms, BATCH)
        self._failed(jobs)
        return len(jobs) == BATCH

    async def following(self) -> int | None:
        return await self._queue.next_deadline()


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

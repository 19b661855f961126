"""Supersede: where newer jobs of a concurrency key cancel older ones, the oldest beyond its limit go."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import structlog

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.lane import Excess, Lane
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import JobQueue

log = structlog.get_logger(__name__)

PAUSE_MS: Final = 1_000
"""Before a store that failed is asked again."""


class Superseder:
    """Looks at a key when a job of it has become durable, and at all keys after the start."""

    def __init__(
        self, queue: JobQueue, clock: Clock, cancel: Callable[[Sequence[JobId]], Awaitable[None]]
    ) -> None:
        self._queue = queue
        self._clock = clock
        self._cancel = cancel
        self._tasks: set[asyncio.Task[None]] = set()

    async def restore(self) -> None:
        """After the start: a crash may have come between a job and what follows. Raises ``Unavailable``."""
        self.look(holder.lane for holder in await self._queue.holders())

    def look(self, lanes: Iterable[Lane]) -> None:
        """Jobs of these lanes are new."""
        asked = {
            (lane.namespace, lane.concurrency.key, lane.concurrency.limit)
            for lane in lanes
            if lane.concurrency is not None and lane.concurrency.excess is Excess.CANCEL_OLDER
        }
        for namespace, key, limit in asked:
            if limit is not None:
                task = asyncio.get_running_loop().create_task(self._make_room(namespace, key, limit))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Ends what is under way; the next start does it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _make_room(self, namespace: str, key: str, limit: int) -> None:
        while True:
            try:
                newest_first = await self._queue.with_key(namespace, key)
                await self._cancel(newest_first[limit:])
                return
            except Unavailable as error:
                log.warning("not_superseded", error=str(error), again_in_ms=PAUSE_MS)
                await self._clock.sleep(PAUSE_MS)

"""Work beside all else that is tried again until the store has carried it out."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from mvm_ci.domain.errors import Unavailable
from mvm_ci.ports.clock import Clock

log = structlog.get_logger(__name__)

PAUSE_MS: Final = 1_000
"""Before a store that failed is asked again."""


class UntilDone:
    """What is under way of one kind of work; ``failed`` is the log's name for a try that failed."""

    def __init__(self, clock: Clock, failed: str) -> None:
        self._clock = clock
        self._failed = failed
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, work: Callable[[], Awaitable[None]]) -> None:
        """Carries out ``work`` beside all else, again while it raises ``Unavailable``."""
        task = asyncio.get_running_loop().create_task(self._repeat(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Ends what is under way; the next start must do it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _repeat(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await work()
            except Unavailable as error:
                log.warning(self._failed, error=str(error), again_in_ms=PAUSE_MS)
                await self._clock.sleep(PAUSE_MS)

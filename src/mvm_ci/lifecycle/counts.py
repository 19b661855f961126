"""How many jobs there are in each state, for those who ask often.

Counting takes time in proportion to the jobs that are kept. So a count is used again for fifty times as long
as it took: few jobs are counted each time, and counting many never takes more than a fiftieth of a reader's
time.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

from mvm_ci.domain.job import JobState
from mvm_ci.ports.job_queue import JobQueue

REUSE: Final = 50
"""How many times as long as it took a count is used."""
FEW: Final = 20_000
"""Up to so many jobs a count is not used again."""


class JobCounts:
    """Counts of all namespaces together. ``seconds``: a clock that only moves forward."""

    def __init__(self, queue: JobQueue, seconds: Callable[[], float] = time.monotonic) -> None:
        self._queue = queue
        self._seconds = seconds
        self._counts: Mapping[JobState, int] = {}
        self._until = float("-inf")
        self._under_way: asyncio.Task[Mapping[JobState, int]] | None = None

    async def get(self) -> Mapping[JobState, int]:
        """Jobs by state; states without jobs may be missing. Raises ``Unavailable``."""
        if self._seconds() < self._until:
            return self._counts
        if self._under_way is None:
            self._under_way = asyncio.create_task(self._count())
            self._under_way.add_done_callback(self._counted)
        # Who comes while it is counted gets the same: it began a moment ago.
        return await asyncio.shield(self._under_way)

    async def _count(self) -> Mapping[JobState, int]:
        began = self._seconds()
        self._counts = await self._queue.counts()
        took = self._seconds() - began
        self._until = self._seconds() + took * REUSE if sum(self._counts.values()) > FEW else float("-inf")
        return self._counts

    def _counted(self, _: asyncio.Task[Mapping[JobState, int]]) -> None:
        self._under_way = None

"""The event log in memory."""

import asyncio

from mvm_ci.adapters.memory.reads import answered
from mvm_ci.domain.events import EventBatch


class MemoryEventLog:
    """An ``EventLog`` whose calls take effect before they return."""

    def __init__(self) -> None:
        self._batches: list[EventBatch] = []

    def append(self, batch: EventBatch, *, at_once: bool) -> asyncio.Future[None]:  # noqa: ARG002 - always is
        self._batches.append(batch)
        return answered(None)

    def read(self, after: int, limit: int) -> asyncio.Future[list[EventBatch]]:
        return answered([batch for batch in self._batches if batch.last > after][:limit])

    def last(self) -> asyncio.Future[int]:
        return answered(self._batches[-1].last if self._batches else 0)

    def trim(self, before_ms: int, keep: int | None, limit: int) -> asyncio.Future[tuple[int, int]]:
        gone = [
            batch
            for batch in self._batches[:-1][:limit]
            if batch.at_ms < before_ms or (keep is not None and batch.last <= self._batches[-1].last - keep)
        ]
        self._batches = [batch for batch in self._batches if batch not in gone]
        return answered((len(gone), sum(batch.count for batch in gone)))

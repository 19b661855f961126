"""Supersede: where newer jobs of a concurrency key cancel older ones, the oldest beyond its limit go."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.lane import Excess, Lane
from mvm_ci.lifecycle.until_done import UntilDone
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import JobQueue


class Superseder:
    """Looks at a key when a job of it has become durable, and at all keys after the start."""

    def __init__(
        self, queue: JobQueue, clock: Clock, cancel: Callable[[Sequence[JobId]], Awaitable[None]]
    ) -> None:
        self._queue = queue
        self._cancel = cancel
        self._under_way = UntilDone(clock, "not_superseded")

    def look(self, lanes: Iterable[Lane]) -> None:
        """Jobs of these lanes are new; or a crash may have come between them and what follows."""
        asked = {
            (lane.namespace, lane.concurrency.key, lane.concurrency.limit)
            for lane in lanes
            if lane.concurrency is not None and lane.concurrency.excess is Excess.CANCEL_OLDER
        }
        for namespace, key, limit in asked:
            if limit is not None:
                self._under_way.begin(partial(self._make_room, namespace, key, limit))

    async def close(self) -> None:
        """Ends what is under way; the next start does it."""
        await self._under_way.close()

    async def _make_room(self, namespace: str, key: str, limit: int) -> None:
        newest_first = await self._queue.with_key(namespace, key)
        await self._cancel(newest_first[limit:])

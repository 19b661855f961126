"""Events: what happened to jobs, gathered where it became durable, and told to whoever listens.

All that happens in one turn of the event loop is one batch, appended to the log without anybody waiting. So
a crash between a change and its event loses the event; each start therefore appends ``RESTARTED``, and a
reader that sees it lists its jobs anew. What could not be written is made known by ``GAP`` in the same way.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final, Self

import structlog

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.events import NO_JOB, NUMBERS_PER_MS, OF_NO_JOB, EventBatch, EventKind, Group, pack
from mvm_ci.domain.ids import JobId
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.event_log import EventLog

log = structlog.get_logger(__name__)

MAX_LISTENERS: Final = 100


class Listener:
    """Hears of new events: ``changed`` is set then. Must be closed (``with``)."""

    __slots__ = ("_events", "changed")

    def __init__(self, events: "Events") -> None:
        self._events = events
        self.changed = asyncio.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._events.leave(self)


class Events:
    """The events of one control plane. ``start`` comes first.

    Also an ``EndListener``: of jobs that a worker has to stop first, it must be looked up how they ended.
    """

    def __init__(self, events: EventLog, clock: Clock) -> None:
        self._log = events
        self._clock = clock
        self._next = 0
        self._groups: list[Group] = []
        self._listeners: set[Listener] = set()
        self._stopping: set[JobId] = set()
        self._lost = False
        self._appends: set[asyncio.Future[None]] = set()
        self.counts: Counter[EventKind] = Counter()
        """Of what happened since the start."""

    async def start(self, stopping: Iterable[JobId]) -> None:
        """Numbers go on, and readers are told of the start. ``stopping``: jobs that a worker has to stop.

        Raises ``Unavailable``.
        """
        self._stopping.update(stopping)
        self._next = max(await self._log.last() + 1, self._clock.now_ms() * NUMBERS_PER_MS)
        self.happened(EventKind.RESTARTED, (NO_JOB,))

    async def close(self) -> None:
        """What happened is written, or logged as lost."""
        self._flush()
        await asyncio.gather(*self._appends, return_exceptions=True)
        for listener in self._listeners:
            listener.changed.set()

    def happened(self, kind: EventKind, jobs: Sequence[JobId]) -> None:
        """It happened to ``jobs``, durably. The sequence must not change afterwards."""
        if not jobs:
            return
        if not self._groups:
            asyncio.get_running_loop().call_soon(self._flush)
        self._groups.append((kind, jobs))
        self.counts[kind] += len(jobs)

    def to_be_stopped(self, job: JobId) -> None:
        """Its worker has been asked to stop this job."""
        self._stopping.add(job)

    def concerns(self, job: JobId) -> bool:
        return job in self._stopping

    def ended(self, jobs: Sequence[JobId]) -> None:
        self.happened(EventKind.ENDED, jobs)
        if self._stopping:
            self._stopping.difference_update(jobs)

    def paused(self, jobs: Sequence[JobId]) -> None:
        """These jobs are paused, durably."""
        self.happened(EventKind.PAUSED, jobs)
        self._stopping.difference_update(jobs)

    def admit(self) -> None:
        """Raises ``Unavailable`` if as many listen as may."""
        if len(self._listeners) >= MAX_LISTENERS:
            raise Unavailable(f"{MAX_LISTENERS} readers follow the events, as many as may; try again later")

    def listen(self) -> Listener:
        """Register first, read then: nothing is missed."""
        listener = Listener(self)
        self._listeners.add(listener)
        return listener

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def leave(self, listener: Listener) -> None:
        """It listens no more."""
        self._listeners.discard(listener)

    async def last(self) -> int:
        """The number after which what happens from now on comes. Raises ``Unavailable``."""
        return await self._log.last()

    async def read(self, after: int, limit: int) -> list[EventBatch]:
        """Batches with events above ``after``. Raises ``Unavailable``."""
        return await self._log.read(after, limit)

    async def missing(self, after: int) -> bool:
        """Whether events above ``after`` may have been trimmed. Raises ``Unavailable``."""
        oldest = next(iter(await self._log.read(0, 1)), None)
        if oldest is None or oldest.first <= after + 1:
            return False
        # One that begins with a start says itself that there may be more.
        return oldest.events()[0].kind not in OF_NO_JOB

    def _flush(self) -> None:
        groups, self._groups = self._groups, []
        if not groups:
            return
        if self._lost:
            groups.insert(0, (EventKind.GAP, (NO_JOB,)))
            self._lost = False
        batch = pack(self._next, self._clock.now_ms(), groups)
        self._next += batch.count
        # Where nobody listens, no commit is made for events alone.
        append = asyncio.ensure_future(self._log.append(batch, at_once=bool(self._listeners)))
        self._appends.add(append)
        append.add_done_callback(partial(self._written, batch))

    def _written(self, batch: EventBatch, append: asyncio.Future[None]) -> None:
        self._appends.discard(append)
        error = None if append.cancelled() else append.exception()
        if error is not None:
            if not self._lost:
                log.error("events_lost", first=batch.first, error=str(error))
            self._lost = True
            return
        for listener in self._listeners:
            listener.changed.set()

"""Rescue: the jobs of a session that ended go on elsewhere; and the timer that notices the end of a lease."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.events import EventKind
from mvm_ci.domain.ids import SessionId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.lease import LeaseTable
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.waiters import Waiters
from mvm_ci.lifecycle.wake import first_of
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import JobQueue, Rescued

log = structlog.get_logger(__name__)

PAUSE_MS: Final = 1_000
"""Before a store that failed is asked again."""


class Rescuer:
    """Gives back the jobs of sessions. ``max_losses``: how often a job may lose its worker before it is
    dead.
    """

    def __init__(
        self, queue: JobQueue, clock: Clock, dispatcher: Dispatcher, waiters: Waiters, max_losses: int
    ) -> None:
        self._queue = queue
        self._clock = clock
        self._dispatcher = dispatcher
        self._waiters = waiters
        self._max_losses = max_losses
        self._rescues: set[asyncio.Task[Rescued]] = set()

    async def rescue(self, session: SessionId, keep: Sequence[Placed] = ()) -> Rescued:
        """All jobs of the session but ``keep`` are pending again, dead or cancelled. Raises
        ``Unavailable``.

        Whoever asked may be cancelled, with its connection: the jobs are rescued, and told of, all the same.
        """
        task = asyncio.create_task(self._rescue(session, keep))
        self._rescues.add(task)
        task.add_done_callback(self._rescues.discard)
        return await asyncio.shield(task)

    async def _rescue(self, session: SessionId, keep: Sequence[Placed]) -> Rescued:
        rescued = await self._queue.rescue(session, self._clock.now_ms(), self._max_losses, keep)
        self._dispatcher.unplaced(rescued.placed)
        self._waiters.ended(rescued.dead)
        self._waiters.ended(rescued.cancelled)
        if rescued.paused:
            self._waiters.paused(rescued.paused)
        if rescued.pending:
            self._waiters.happened(EventKind.REQUEUED, rescued.pending)
            self._waiters.changed(rescued.pending)
            self._dispatcher.pending()
        return rescued


class LeaseKeeper:
    """Declares sessions lost when their leases have run out: ``lost`` is called for each, again if it
    failed.
    """

    def __init__(
        self, leases: LeaseTable, clock: Clock, lost: Callable[[SessionId], Awaitable[None]]
    ) -> None:
        self._leases = leases
        self._clock = clock
        self._lost = lost
        self._sooner = asyncio.Event()

    def poke(self) -> None:
        """A lease begins or ends before its time."""
        self._sooner.set()

    async def run(self) -> None:
        """Runs until it is cancelled."""
        while True:
            self._sooner.clear()
            deadline = self._leases.next_deadline()
            if deadline is None:
                await self._sooner.wait()
                continue
            now = self._clock.lease_ms()
            # Looked at once a lease at least: else a long rest would hide that this process stood still.
            nap = min(deadline - now, self._leases.lease_ms)
            sooner = nap > 0 and await first_of(self._clock, nap, self._sooner)
            if nap > 0 and self._clock.lease_ms() - now - nap > self._leases.lease_ms // 2:
                # This process or its machine stood still: whose heartbeats lie unread, nobody can tell.
                log.warning("control_plane_stood_still")
                self._leases.grant_all(self._clock.lease_ms())
                continue
            if sooner:
                continue
            if not await self._lose_expired():
                await self._clock.sleep(PAUSE_MS)

    async def _lose_expired(self) -> bool:
        """False if the store failed."""
        expired = self._leases.expired(self._clock.lease_ms())
        results = await asyncio.gather(*(self._lost(session) for session in expired), return_exceptions=True)
        well = True
        for session, result in zip(expired, results, strict=True):
            if isinstance(result, Unavailable):
                log.warning("session_not_given_back", session=session, error=str(result))
                well = False
            elif isinstance(result, BaseException):
                raise result
        return well

"""Engines elsewhere: a worker's placement is run by an engine that is a peer of its own.

::

    control plane ── Granted ──▶ worker ── grant ──▶ engine ── Redeem ──▶ control plane ── Assign ──▶ engine

The worker holds the placement: its lease, its start and its end. The engine has it only as long as the worker
does, and for what the guest needs of us: its journal, its questions, its blobs.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.grant import Grant, opened, seal
from mvm_ci.domain.ids import JobId, SessionId
from mvm_ci.domain.job import PLACED, ClaimedJob, Job, JobState, NewJob, Placed
from mvm_ci.lifecycle.assignments import left_ms
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.link import Link
from mvm_ci.lifecycle.seats import frames
from mvm_ci.lifecycle.session import Session
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import JobQueue
from mvm_ci.wire import messages as m

GRANT_KEY_BYTES: Final = 32

log = structlog.get_logger(__name__)


class EngineGrants:
    """Grants, and where what was granted runs.

    ``key``: what seals them; the same after a restart, so that an engine keeps what it has. ``uncommitted``:
    jobs that may be at workers and are not durable yet. ``find``: an open session, by its id.
    """

    def __init__(
        self,
        key: bytes,
        queue: JobQueue,
        dispatcher: Dispatcher,
        uncommitted: Mapping[JobId, NewJob],
        clock: Clock,
    ) -> None:
        self._key = key
        self._queue = queue
        self._assignments = dispatcher.assignments
        self._uncommitted = uncommitted
        self._clock = clock
        self.find: Callable[[SessionId], Session | None] = lambda _: None
        self._at: dict[Placed, Session] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        dispatcher.when_unplaced(self.unplaced)

    def grant(self, placed: Placed, session: SessionId) -> Grant:
        """For a placement that ``session`` is given."""
        return seal(self._key, placed, session)

    def redeem(self, engine: Session, link: Link, grants: Sequence[Grant]) -> None:
        """An engine shows grants: ``link`` gets an ``Assign`` or a ``Drop`` for each."""
        task = asyncio.get_running_loop().create_task(self._redeem(engine, link, grants))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def readmit(self, engine: Session, grants: Sequence[Grant]) -> tuple[Placed, ...]:
        """An engine connected anew: which of the placements that it runs it keeps. Raises ``Unavailable``."""
        holders = self._holders(grants)
        kept = tuple(await self._held(holders))
        for placed in kept:
            self._at[placed] = engine
        return kept

    def unplaced(self, placements: Sequence[Placed]) -> None:
        """These are over: their engines let go of them."""
        gone: dict[Session, list[Placed]] = {}
        for placed in placements:
            engine = self._at.pop(placed, None)
            if engine is not None and engine.placements.taken((placed,)):
                gone.setdefault(engine, []).append(placed)
        for engine, over in gone.items():
            if engine.link is not None:
                engine.link.send(m.Drop(tuple(over)))

    def where(self, placed: Placed) -> Session | None:
        """The engine that has it, if one does."""
        return self._at.get(placed)

    async def close(self) -> None:
        """Gives up what is under way: engines show their grants again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _holders(self, grants: Sequence[Grant]) -> dict[Placed, Session]:
        """The sessions that these were granted to, as far as they are open."""
        found: dict[Placed, Session] = {}
        for grant in grants:
            number = opened(self._key, grant)
            session = None if number is None else self.find(number)
            if session is not None:
                found[grant.placed] = session
        return found

    async def _redeem(self, engine: Session, link: Link, grants: Sequence[Grant]) -> None:
        try:
            assigned = await self._assigned(grants)
        except Unavailable as error:
            log.warning("grants_not_redeemed", error=str(error))
            link.close(m.CLOSE_DONE, "the control plane's store is not available; connect again")
            return
        except Exception:
            log.exception("grants_not_redeemed")
            link.close(m.CLOSE_DONE, "the control plane failed; connect again")
            return
        if engine.link is not link:
            return  # it shows them again on its newer connection
        given = [item.placed for item in assigned]
        for placed in given:
            self._at[placed] = engine
        engine.placements.given(given)
        # Its start is the worker's to tell: nobody waits for the engine to do so.
        engine.placements.started(given)
        refused = {grant.placed for grant in grants}.difference(given)
        for frame in frames(assigned):
            link.send(m.Assign(tuple(frame)))
        if refused:
            log.info("grants_refused", engine=engine.worker, count=len(refused))
            link.send(m.Drop(tuple(refused)))

    async def _assigned(self, grants: Sequence[Grant]) -> list[m.Assignment]:
        holders = self._holders(grants)
        now = self._clock.now_ms()
        items: list[m.Assignment] = []
        stored: list[Placed] = []
        for placed in holders:
            new = self._uncommitted.get(placed.job)
            if new is not None and placed.epoch == 1:
                left = left_ms(new.options.deadline_ms, now)
                items.append(m.Assignment(placed, 1, new.spec, left_ms=left))
            else:
                stored.append(placed)
        if stored:
            items += await self._from_store(stored, holders)
        # Looked at last: meanwhile some may have come to their end.
        held = set(await self._held(holders))
        return [item for item in items if item.placed in held]

    async def _held(self, holders: Mapping[Placed, Session]) -> list[Placed]:
        """Those that their sessions hold."""
        held = [placed for placed, session in holders.items() if placed in session.placements]
        # Of a session that has not come back since our own start only the queue knows.
        away = {session for session in holders.values() if session.link is None}
        for session in away:
            known = set(await self._queue.held(session.id))
            held += [
                placed
                for placed, holder in holders.items()
                if holder is session and placed in known and placed not in session.placements
            ]
        return held

    async def _from_store(
        self, placements: Sequence[Placed], holders: Mapping[Placed, Session]
    ) -> list[m.Assignment]:
        found = await self._queue.get([placed.job for placed in placements])
        fresh: dict[str, list[ClaimedJob]] = {}
        items: list[m.Assignment] = []
        for placed, job in zip(placements, found, strict=True):
            if job is None or job.epoch != placed.epoch or job.state not in PLACED:
                continue
            namespace = job.options.lane.namespace
            if job.journal_length:
                session = holders[placed].id
                items += await self._assignments.resumed(namespace, _claimed(job), session)
            else:
                fresh.setdefault(namespace, []).append(_claimed(job))
        for namespace, jobs in fresh.items():
            items += await self._assignments.fresh(namespace, jobs)
        return items


def _claimed(job: Job) -> ClaimedJob:
    return ClaimedJob(
        id=job.id,
        epoch=job.epoch,
        attempt=job.attempt,
        spec=job.spec,
        journal_length=job.journal_length,
        cancelling=job.state is JobState.CANCELLING,
        deadline_ms=job.options.deadline_ms,
    )

"""Engines elsewhere: a worker's placement is run by an engine that is a peer of its own.

::

    control plane ── Granted ──▶ worker ── grant ──▶ engine ── Redeem ──▶ control plane ── Assign ──▶ engine

The worker holds the placement: its lease, its start and its end. The engine has it only as long as the worker
does, and for what the guest needs of us: its journal, its questions, its blobs.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import structlog

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.grant import Grant, opened, seal
from mvm_ci.domain.ids import JobId, SessionId
from mvm_ci.domain.job import PLACED, ClaimedJob, NewJob, Placed
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
        self._looks: list[set[Placed]] = []
        """Of each look at what is held: what was over before it had its answer."""
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
        with self._look() as over:
            held = await self._held(self._holders(grants))
            kept = tuple(placed for placed in held if placed not in over)
            self._settle(engine, kept)
        return kept

    def unplaced(self, placements: Sequence[Placed]) -> None:
        """These are over: their engines let go of them."""
        for over in self._looks:
            over.update(placements)
        gone: dict[Session, list[Placed]] = {}
        for placed in placements:
            engine = self._at.pop(placed, None)
            if engine is not None:
                gone.setdefault(engine, []).append(placed)
        for engine, lost in gone.items():
            _take(engine, lost)

    def where(self, placed: Placed) -> Session | None:
        """The engine that has it, if one does."""
        return self._at.get(placed)

    def take_from_engines(self, placements: Sequence[Placed]) -> list[Session]:
        """Tells the engines that have these to let go of them. Which ones those are."""
        engines: dict[Session, list[Placed]] = {}
        for placed in placements:
            engine = self._at.get(placed)
            if engine is not None:
                engines.setdefault(engine, []).append(placed)
        for engine, lost in engines.items():
            _take(engine, lost)
        return list(engines)

    async def close(self) -> None:
        """Gives up what is under way: engines show their grants again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @contextlib.contextmanager
    def _look(self) -> Iterator[set[Placed]]:
        """Fills with what comes to its end inside the block: whatever was read before may say otherwise."""
        over: set[Placed] = set()
        self._looks.append(over)
        try:
            yield over
        finally:
            self._looks = [look for look in self._looks if look is not over]

    def _settle(self, engine: Session, placements: Sequence[Placed]) -> None:
        """They run at this engine from now on, and at no other: a worker that is not sure whether one has
        them may bring them to the next.
        """
        for placed in placements:
            before, self._at[placed] = self._at.get(placed), engine
            if before is not None and before is not engine:
                _take(before, (placed,))

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
        with self._look() as over:
            await self._redeem_unless(over, engine, link, grants)

    async def _redeem_unless(
        self, over: set[Placed], engine: Session, link: Link, grants: Sequence[Grant]
    ) -> None:
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
        assigned = [item for item in assigned if item.placed not in over]
        given = [item.placed for item in assigned]
        self._settle(engine, given)
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
        # Of a session that is away only the queue knows: it may not have come back since our own start, and
        # one that comes back just now may have lost some of what it had.
        away = {session for session in holders.values() if session.link is None}
        known = {session: frozenset(await self._queue.held(session.id)) for session in away}
        return [
            placed for placed, session in holders.items() if placed in known.get(session, session.placements)
        ]

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
                items += await self._assignments.resumed(namespace, ClaimedJob.of(job), session)
            else:
                fresh.setdefault(namespace, []).append(ClaimedJob.of(job))
        for namespace, jobs in fresh.items():
            items += await self._assignments.fresh(namespace, jobs)
        return items


def _take(engine: Session, placements: Sequence[Placed]) -> None:
    """They are not the engine's any more, and it learns so."""
    gone = tuple(placed for placed in placements if engine.placements.taken((placed,)))
    if gone and engine.link is not None:
        engine.link.send(m.Drop(gone))

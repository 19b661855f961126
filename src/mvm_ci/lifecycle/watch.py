"""Watch: at each heartbeat, whether a worker does something, and whether its drain is due."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.job import Placed
from mvm_ci.domain.progress import Activity, overdue, stalled
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.record import Recorder
from mvm_ci.lifecycle.session import Session
from mvm_ci.ports.clock import Clock
from mvm_ci.wire import messages as m

log = structlog.get_logger(__name__)

HAND_OVER_MS: Final = 15_000
"""For a worker to hand over what it runs at its drain's deadline; then it is taken from it."""


class Watch:
    """``stall_ms``: after so long a job that its worker did not start is taken back; a worker that did
    nothing else in that time is stalled: it gets nothing, but one job now and then to show that it works.
    """

    def __init__(self, recorder: Recorder, dispatcher: Dispatcher, clock: Clock, stall_ms: int) -> None:
        self._recorder = recorder
        self._dispatcher = dispatcher
        self._clock = clock
        self._stall_ms = stall_ms
        self._tasks: set[asyncio.Task[None]] = set()

    def beat(self, session: Session, runners: int | None) -> None:
        """A heartbeat has come; ``runners``: those that are ready, as far as the worker says."""
        now = self._clock.lease_ms()
        if runners != 0:
            session.lame_since_ms = None
        elif session.lame_since_ms is None:
            session.lame_since_ms = now
        self._judge(session, now)
        self._drain(session, now)

    def _judge(self, session: Session, now: int) -> None:
        placements = session.placements
        since = placements.waiting_since
        if since is None and not session.stalled and session.lame_since_ms is None:
            return
        activity = Activity(since, placements.moved_ms, session.lame_since_ms)
        idle = stalled(activity, now, self._stall_ms)
        if idle and not session.stalled:
            log.warning("worker_stalled", worker=session.worker, name=session.name, session=session.id)
            session.stalled = True
            session.probed_ms = now
            self._dispatcher.drain(session.id)
        elif session.stalled and self._works(session, activity):
            log.info("worker_goes_on", worker=session.worker, name=session.name, session=session.id)
            session.stalled = False
            if not session.held:
                self._dispatcher.resume(session.id)
        lame = session.lame_since_ms is not None and now - session.lame_since_ms >= self._stall_ms
        late = placements.all() if lame else overdue(placements.waiting(), now, self._stall_ms)
        if late:
            self._take_back(session, late, "not_started")
        if session.stalled and not lame and since is None and now - session.probed_ms >= self._stall_ms:
            session.probed_ms = now
            if not session.leaving and not session.draining:
                self._dispatcher.probe(session.id)

    def _works(self, session: Session, activity: Activity) -> bool:
        """Whether a stalled worker has done something since."""
        return activity.lame_since is None and activity.moved >= session.probed_ms

    def _drain(self, session: Session, now: int) -> None:
        due = session.drain_by_ms is not None and self._clock.now_ms() >= session.drain_by_ms
        if not due or not session.placements:
            return
        if session.handed_over_ms is None:
            session.handed_over_ms = now
            log.info("drain_due", worker=session.worker, jobs=len(session.placements))
            if session.link is not None:
                session.link.send(m.Drain(running=True))
        elif now - session.handed_over_ms >= HAND_OVER_MS:
            self._take_back(session, session.placements.all(), "not_handed_over")

    def _take_back(self, session: Session, placements: Sequence[Placed], why: str) -> None:
        log.warning("jobs_taken_back", worker=session.worker, why=why, count=len(placements))
        # At once: whatever the worker says of them from now on comes too late.
        session.placements.taken(placements)
        if session.link is not None:
            session.link.send(m.Drop(tuple(placements)))
        task = asyncio.create_task(self._release(session, placements))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _release(self, session: Session, placements: Sequence[Placed]) -> None:
        try:
            await self._recorder.release(session.id, placements)
        except Unavailable as error:
            log.warning("jobs_not_taken_back", worker=session.worker, error=str(error))
            # They stay the session's, in the queue, too: tried again when they are late once more.
            session.placements.given(placements)

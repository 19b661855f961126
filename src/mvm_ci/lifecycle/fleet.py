"""Fleet: what operators decide about workers. Drain, resume, revoke, forget."""

from mvm_ci.domain.errors import Conflict, NotFound
from mvm_ci.domain.grant import PeerRole
from mvm_ci.domain.ids import WorkerId
from mvm_ci.lifecycle import admission
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.sessions import Sessions
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.registry import Registry, WorkerState
from mvm_ci.wire import messages as m


class Fleet:
    """All methods raise ``NotFound`` for a worker that is not known, and ``Unavailable``."""

    def __init__(self, registry: Registry, sessions: Sessions, dispatcher: Dispatcher, clock: Clock) -> None:
        self._registry = registry
        self._sessions = sessions
        self._dispatcher = dispatcher
        self._clock = clock

    async def drain(self, worker: WorkerId, deadline_ms: int | None = None) -> None:
        """It gets nothing new, and gives back what has not started, until ``resume``; its restarts and ours
        change nothing about that.

        What still runs after ``deadline_ms`` (within a heartbeat) is handed over and goes on elsewhere.
        Raises ``Conflict`` for a revoked one.
        """
        by = None if deadline_ms is None else self._clock.now_ms() + deadline_ms
        async with self._sessions.lock(worker):
            await self._set(worker, WorkerState.DRAINING, by)
            session = self._sessions.of_worker(worker)
            if session is None:
                return
            session.draining = True
            session.drain_by_ms = by
            session.handed_over_ms = None
            self._dispatcher.drain(session.id)
            if session.link is not None:
                session.link.send(m.Drain())

    async def resume(self, worker: WorkerId) -> None:
        """It gets jobs again, also if it was stalled: an operator knows better. Raises ``Conflict`` for a
        revoked one.
        """
        async with self._sessions.lock(worker):
            await self._set(worker, WorkerState.ACTIVE, None)
            session = self._sessions.of_worker(worker)
            if session is None:
                return
            session.draining = session.stalled = False
            session.drain_by_ms = session.handed_over_ms = None
            if not session.held:
                self._dispatcher.resume(session.id)
            if session.role is PeerRole.ENGINE and session.link is not None:
                session.link.send(m.Resume())

    async def revoke(self, worker: WorkerId) -> None:
        """Its key is refused for good; on return its connection is closed to it and its jobs are given
        back.
        """
        await self._set(worker, WorkerState.REVOKED, None)
        async with self._sessions.lock(worker):
            session = self._sessions.of_worker(worker)
            if session is not None:
                if session.link is not None:
                    session.link.send(admission.revoked())
                await self._sessions.end(session, m.CLOSE_REFUSED, "revoked by an operator")

    async def forget(self, worker: WorkerId) -> None:
        """It is not listed any more. If it was revoked its key stays refused, else it may join again as a
        new one. Raises ``Conflict`` if it has a session.
        """
        async with self._sessions.lock(worker):
            session = self._sessions.of_worker(worker)
            if session is not None:
                raise Conflict(
                    f"worker {session.name} has a session; stop or revoke it first, or wait "
                    f"{self._sessions.lease_left_ms(session) / 1000:.0f} s if it is gone"
                )
            if not await self._registry.forget_worker(worker):
                raise _unknown(worker)

    async def _set(self, worker: WorkerId, state: WorkerState, drain_by_ms: int | None) -> None:
        if await self._registry.set_worker_state(worker, state, drain_by_ms):
            return
        if await self._registry.worker(worker) is None:
            raise _unknown(worker)
        raise Conflict(f"worker {worker[:12]} is revoked, for good; forget it, or let it join with a new key")


def _unknown(worker: WorkerId) -> NotFound:
    return NotFound(f"there is no worker {worker[:80]!r}")

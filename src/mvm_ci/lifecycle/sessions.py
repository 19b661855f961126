"""Sessions: which worker process may hold jobs. Hello, reconnect, takeover, heartbeat, goodbye, loss.

A worker is its key; a *session* is one process (incarnation) with that key. It outlives connections, and
the control
plane's own restart, as long as its lease is held.
"""

import asyncio
from collections.abc import Iterable, Sequence
from weakref import WeakValueDictionary

import structlog
from msgspec.structs import replace

from mvm_ci.domain.errors import ProtocolError, Unavailable
from mvm_ci.domain.grant import PeerRole
from mvm_ci.domain.ids import IdSequence, Incarnation, SessionId, WorkerId
from mvm_ci.domain.job import JobState, Placed
from mvm_ci.domain.lease import LeaseTable
from mvm_ci.domain.versions import is_older
from mvm_ci.lifecycle import admission
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.engine_grants import EngineGrants
from mvm_ci.lifecycle.link import Link
from mvm_ci.lifecycle.rescue import LeaseKeeper, Rescuer
from mvm_ci.lifecycle.session import Session
from mvm_ci.lifecycle.wake import first_of
from mvm_ci.lifecycle.watch import Watch
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import JobQueue
from mvm_ci.ports.registry import Registry, Worker, WorkerState
from mvm_ci.wire import messages as m

log = structlog.get_logger(__name__)

PROBE_MS = 500
"""How long the process that holds a key has to show that it is alive, when another one claims the key."""

REST_LEASES = 8
"""Heartbeats of a worker that holds nothing are so many leases apart: a thousand of them cost little. The
lease of its session lasts as much longer, until it is given something.
"""


class Sessions:
    """All sessions that may hold jobs."""

    def __init__(  # noqa: PLR0913 (what it works with, given once at the start)
        self,
        queue: JobQueue,
        registry: Registry,
        clock: Clock,
        dispatcher: Dispatcher,
        rescuer: Rescuer,
        watch: Watch,
        grants: EngineGrants,
        *,
        lease_ms: int,
        heartbeat_ms: int,
        version: str,
    ) -> None:
        self._queue = queue
        self._registry = registry
        self._clock = clock
        self._dispatcher = dispatcher
        self._rescuer = rescuer
        self._watch = watch
        self._grants = grants
        grants.find = self.by_id
        self._heartbeat_ms = heartbeat_ms
        self._rest_ms = REST_LEASES * lease_ms
        self._version = version
        self._leases = LeaseTable(lease_ms)
        self.keeper = LeaseKeeper(self._leases, clock, self._lost)
        self._by_id: dict[SessionId, Session] = {}
        self._by_worker: dict[WorkerId, Session] = {}
        self._locks: WeakValueDictionary[WorkerId, asyncio.Lock] = WeakValueDictionary()
        self._ids = IdSequence()
        self._pings = 0
        self.lost = 0
        """Sessions that ended because their leases ran out."""
        self._goodbyes: set[asyncio.Task[None]] = set()

    async def restore(self) -> None:
        """After the control plane's start: every open session has one lease's time to come back."""
        workers = await self._registry.workers()
        self._ids = IdSequence(max((worker.session or 0 for worker in workers), default=0))
        for worker in workers:
            if worker.session_open and worker.session is not None and worker.incarnation is not None:
                session = self._session(worker, worker.session, worker.incarnation)
                session.restored = True
                self._enter(session)
            elif worker.ephemeral:
                # Its end was written, but we ended before it was forgotten.
                await self._registry.forget_worker(worker.id)

    async def hello(self, peer: WorkerId, hello: m.Hello, link: Link) -> Session | None:
        """A worker introduces itself; ``link`` gets ``Welcome`` or ``Refused``. None if it is refused."""
        try:
            async with self.lock(peer):
                answer = await self._admit(peer, hello, link)
        except Unavailable as error:
            log.warning("worker_not_taken", worker=peer, error=str(error))
            answer = m.Refused(
                m.REFUSED_UNAVAILABLE, "the control plane's store is not available", final=False
            )
        if isinstance(answer, m.Refused):
            log.warning("worker_refused", worker=peer, code=answer.code)
            link.send(answer)
            return None
        return answer

    def heartbeat(self, session: Session, link: Link, beat: m.Heartbeat) -> None:
        """Renews the lease; answers ``Beat``, which lets a worker that holds nothing rest. A lease that has
        run out is not renewed: the connection closes.
        """
        session.running = beat.running
        session.seen_ms = self._clock.now_ms()
        now = self._clock.lease_ms()
        if not self._leases.renew(session.id, now):
            link.close(m.CLOSE_SILENT, "the lease has run out; connect again")
            return
        self._watch.beat(session, beat.runners if beat.runners >= 0 else None)
        rest_ms = self._rest_ms if session.idle else 0
        if rest_ms:
            self._leases.rest(session.id, now, rest_ms)
        link.send(m.Beat(beat.number, rest_ms))

    def pong(self, session: Session, number: int) -> None:
        """The session's process is alive."""
        event = session.pings.pop(number, None)
        if event is not None:
            event.set()

    def disconnected(self, session: Session, link: Link) -> None:
        """A connection is gone; the session has its lease's time to come back."""
        if session.link is link:
            session.link = None
            self._dispatcher.detach(session.id, link)
            # Also if it was resting: a claim for it may be under way, and it knows that it is cut off.
            self._rouse(session.id)

    def _rouse(self, session: SessionId) -> None:
        if self._leases.rouse(session, self._clock.lease_ms()):
            self.keeper.poke()

    def leaving(self, session: Session) -> None:
        """The worker says that it takes nothing more."""
        session.leaving = True
        self._dispatcher.drain(session.id)

    async def goodbye(self, session: Session) -> None:
        """The worker ends its session for good."""
        # Ending it closes the connection, and that cancels the caller.
        task = asyncio.create_task(self._goodbye(session))
        self._goodbyes.add(task)
        task.add_done_callback(self._goodbyes.discard)
        await asyncio.shield(task)

    async def _goodbye(self, session: Session) -> None:
        async with self.lock(session.worker):
            await self.end(session, m.CLOSE_DONE, "goodbye")

    def of_worker(self, worker: WorkerId) -> Session | None:
        """The worker's session, if it has one."""
        return self._by_worker.get(worker)

    def by_id(self, session: SessionId) -> Session | None:
        """The session with this id, if it is not over."""
        return self._by_id.get(session)

    def all(self) -> Iterable[Session]:
        """All that are not over, connected or not."""
        return self._by_id.values()

    def lease_left_ms(self, session: Session) -> int:
        """Milliseconds until the session is lost."""
        return self._leases.left(session.id, self._clock.lease_ms())

    async def _admit(self, peer: WorkerId, hello: m.Hello, link: Link) -> Session | m.Refused:
        refused = admission.check(hello)
        if refused is not None:
            return refused
        known = await self._registry.worker(peer)
        if known is not None and known.state is WorkerState.REVOKED:
            return admission.revoked()
        open_one = self._by_worker.get(peer)
        if open_one is not None and not self._leases.alive(open_one.id, self._clock.lease_ms()):
            await self.end(open_one, m.CLOSE_SILENT, "the lease has run out")
            open_one = None
        if open_one is not None and open_one.incarnation == hello.incarnation:
            if open_one.role is not hello.role:
                raise ProtocolError(
                    f"a process whose role was {open_one.role.value} and is now {hello.role.value}"
                )
            return await self._resume(open_one, hello, link)
        if open_one is not None:
            replaces = hello.previous == open_one.incarnation and (
                hello.previous_over or not await self._answers(open_one)
            )
            if not replaces or not await self._stand_still(open_one):
                return admission.key_in_use(self.lease_left_ms(open_one))
            log.info("session_taken_over", worker=peer, session=open_one.id)
            await self.end(open_one, m.CLOSE_REPLACED, "another process with this key took over")
        if known is None:
            refused = await admission.join(
                self._registry, self._worker(peer, hello), hello, self._clock.now_ms()
            )
            if refused is not None:
                return refused
        return await self._open(peer, hello, link, known)

    async def _open(self, peer: WorkerId, hello: m.Hello, link: Link, known: Worker | None) -> Session:
        worker = self._worker(peer, hello)
        if known is not None:
            # An operator's drain outlives the worker's process.
            worker = replace(worker, state=known.state, drain_by_ms=known.drain_by_ms)
        session_id = SessionId(self._ids.next(self._clock.now_ms()))
        opened = replace(worker, session=session_id, session_open=True)
        await self._registry.open_session(opened, self._clock.now_ms())
        session = self._session(worker, session_id, hello.incarnation)
        keep = await self._grants.readmit(session, hello.grants) if hello.grants else ()
        self._enter(session)
        log.info("session_opened", worker=peer, name=session.name, session=session.id, slots=session.slots)
        if is_older(hello.version, self._version):
            log.warning("worker_outdated", worker=peer, name=session.name, version=hello.version)
        self._welcome(session, hello, link, keep)
        return session

    async def _resume(self, session: Session, hello: m.Hello, link: Link) -> Session:
        """The same process connected anew: what both sides know of goes on, the rest is given back."""
        old, session.link = session.link, None
        session.labels = dict(hello.labels)
        self._dispatcher.detach(session.id)
        if old is not None:
            old.close(m.CLOSE_REPLACED, "the same worker has a newer connection")
        self._leases.grant(session.id, self._clock.lease_ms())
        keep = await self._kept(session, hello)
        log.info("session_resumed", worker=session.worker, session=session.id, keep=len(keep))
        self._welcome(session, hello, link, keep)
        try:
            await self._stop_again(keep, link)
        except BaseException:
            self.disconnected(session, link)
            raise
        return session

    async def _kept(self, session: Session, hello: m.Hello) -> tuple[Placed, ...]:
        """Which of the placements that it says it has are its own."""
        if session.role is PeerRole.ENGINE:
            return await self._grants.readmit(session, hello.grants)
        # The write first: it comes after claims that are under way, which a read alone would not see.
        await self._rescuer.rescue(session.id, hello.running)
        held = set(await self._queue.held(session.id))
        return tuple(placed for placed in hello.running if placed in held)

    async def _stop_again(self, keep: Sequence[Placed], link: Link) -> None:
        """Tells a worker that came back which of its jobs were cancelled or paused while it was away.

        Looked up once it has its seat: whoever cancels from then on tells it directly.
        """
        jobs = await self._queue.get([placed.job for placed in keep])
        for state in (JobState.CANCELLING, JobState.PAUSING):
            stops = tuple(
                placed
                for placed, job in zip(keep, jobs, strict=True)
                if job is not None and job.state is state
            )
            if stops:
                link.send(m.Stop(stops, cancel=state is JobState.CANCELLING))

    def _welcome(self, session: Session, hello: m.Hello, link: Link, keep: tuple[Placed, ...]) -> None:
        now = self._clock.lease_ms()
        self._leases.grant(session.id, now)
        self.keeper.poke()
        session.seen_ms = self._clock.now_ms()
        session.link = link
        link.send(
            m.Welcome(
                protocol=admission.protocol(hello),
                session=session.id,
                lease_ms=self._leases.lease_ms,
                heartbeat_ms=self._heartbeat_ms,
                version=self._version,
                keep=keep,
                clock_ms=session.seen_ms,
            )
        )
        session.placements.only(keep)
        if session.role is PeerRole.ENGINE:
            session.placements.started(keep)
        else:
            grant = self._grants.grant if session.role is PeerRole.FOLLOWER else None
            self._dispatcher.attach(
                session.id, link, session.labels, session.placements, session.slots, grant
            )
        if session.held:
            self._dispatcher.drain(session.id)
        if session.draining:
            session.handed_over_ms = None
            link.send(m.Drain())

    async def _stand_still(self, session: Session) -> bool:
        """Whether nothing of a session whose process is gone has effects any more. The guests of an engine
        elsewhere outlive it, with what is left of its lease: that engine must have heard of it, or the lease
        be over.
        """
        if session.role is not PeerRole.FOLLOWER:
            return True
        held = {*session.placements.all(), *await self._queue.held(session.id)}
        if session.restored and any(self._grants.where(placed) is None for placed in held):
            return False
        # An engine acts on what it is told in order: when it answers, it has let go.
        engines = self._grants.take_from_engines(list(held))
        return all(await asyncio.gather(*map(self._answers, engines)))

    async def _answers(self, session: Session) -> bool:
        """Whether the session's own process is alive on its connection."""
        link = session.link
        if link is None:
            return False
        self._pings += 1
        number = self._pings
        session.pings[number] = asyncio.Event()
        link.send(m.Ping(number))
        try:
            return await first_of(self._clock, PROBE_MS, session.pings[number])
        finally:
            session.pings.pop(number, None)

    async def _lost(self, session_id: SessionId) -> None:
        session = self._by_id.get(session_id)
        if session is None:
            self._leases.remove(session_id)
            return
        async with self.lock(session.worker):
            # While the lock was waited for, it may have ended otherwise, or its process may have come back.
            over = self._by_id.get(session_id) is not session
            if not over and not self._leases.alive(session_id, self._clock.lease_ms()):
                self.lost += 1
                log.warning("session_lost", worker=session.worker, name=session.name, session=session.id)
                await self.end(session, m.CLOSE_SILENT, "the lease has run out")

    async def end(self, session: Session, code: int, reason: str) -> None:
        """Ends a session; its lock is held. Raises ``Unavailable`` if its jobs could not be given back: the
        keeper tries again.
        """
        if self._by_id.get(session.id) is not session:
            return
        self._leases.expire(session.id, self._clock.lease_ms())
        self.keeper.poke()
        session.placements.clear()
        link, session.link = session.link, None
        self._dispatcher.detach(session.id)
        if link is not None:
            link.close(code, reason)
        # The jobs first: a crash in between leaves the session open, and it is lost once more after the
        # start.
        await self._rescuer.rescue(session.id)
        await self._registry.close_session(session.worker, session.id, self._clock.now_ms())
        if session.ephemeral:
            await self._registry.forget_worker(session.worker)
        self._leases.remove(session.id)
        del self._by_id[session.id]
        del self._by_worker[session.worker]

    def _session(self, worker: Worker, session: SessionId, incarnation: Incarnation) -> Session:
        return Session(worker, session, incarnation, self._clock.lease_ms, self._rouse)

    def _enter(self, session: Session) -> None:
        self._by_id[session.id] = session
        self._by_worker[session.worker] = session
        self._leases.grant(session.id, self._clock.lease_ms())
        self.keeper.poke()

    def _worker(self, peer: WorkerId, hello: m.Hello) -> Worker:
        return Worker(
            id=peer,
            name=hello.name,
            state=WorkerState.ACTIVE,
            joined_ms=self._clock.now_ms(),
            version=hello.version,
            platform=hello.platform,
            slots=hello.slots,
            incarnation=hello.incarnation,
            labels=hello.labels,
            ephemeral=hello.ephemeral,
            protocol=hello.newest,
            role=hello.role,
        )

    def lock(self, worker: WorkerId) -> asyncio.Lock:
        """Whoever begins, ends or changes a worker's session holds it."""
        lock = self._locks.get(worker)
        if lock is None:
            lock = self._locks[worker] = asyncio.Lock()
        return lock

"""Dispatch: pending jobs go to workers that have credit, in the order that the scheduler says. Nothing polls:
credit, new pending jobs and slots that become free are events.

New jobs are normally placed as they are inserted (``submit``); the claims here are for the backlog: jobs
for which no worker had credit, that came back from a lost worker, or that woke.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple

import structlog

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import JobId, SessionId
from mvm_ci.domain.job import ClaimedJob, Placed
from mvm_ci.domain.lane import Lane
from mvm_ci.domain.outcome import Released
from mvm_ci.domain.scheduling.scheduler import Scheduler, Turn
from mvm_ci.lifecycle.assignments import Assignments
from mvm_ci.lifecycle.job_times import JobTimes
from mvm_ci.lifecycle.link import Link
from mvm_ci.lifecycle.placements import Placements
from mvm_ci.lifecycle.seats import NO_LABELS, Granting, Seat, Seats
from mvm_ci.lifecycle.secrets import Secrets
from mvm_ci.lifecycle.wake import first_of
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import Holder, JobQueue, Report
from mvm_ci.wire.messages import Assignment

log = structlog.get_logger(__name__)

CLAIM: Final = 256
"""Jobs of one claim."""
PAUSE_MS: Final = 1_000
"""Before a store that failed is asked again."""


class Claim(NamedTuple):
    """A claim under way."""

    seat: Seat
    turn: Turn
    jobs: Awaitable[list[ClaimedJob]]


class Dispatcher:
    """Owns the seats and the scheduler. An ``EndListener``: ends make room for others.

    ``assignments``: their ``park`` is to be set before it runs.
    """

    def __init__(self, queue: JobQueue, clock: Clock, secrets: Secrets | None = None) -> None:
        """``secrets`` None: there are no jobs that name any."""
        self._queue = queue
        self.assignments = Assignments(queue, secrets, clock)
        self._clock = clock
        self.seats = Seats()
        self.times = JobTimes(clock)
        self.scheduler = Scheduler()
        self._unread = True
        """The store may have pending jobs in lanes that the scheduler does not know of."""
        self._known = False
        self._uncounted = False
        """A namespace got a limit of running jobs: what workers have of it is to be counted."""
        self._renewed: set[int] = set()
        self._when_unplaced: list[Callable[[Sequence[Placed]], None]] = []
        self._event = asyncio.Event()

    async def restore(self) -> list[Holder]:
        """After the start: what is ready, what is left of rates, and what holds slots, which it returns.
        Raises ``Unavailable``.
        """
        self.scheduler.limits.restore(await self._queue.levels(self._clock.now_ms()))
        holders = await self._count()
        for holder in holders:
            if holder.begun:
                self.scheduler.limits.holds(holder.job, holder.lane)
        self.pending()
        return holders

    def attach(
        self,
        session: SessionId,
        link: Link,
        labels: Mapping[str, str] = NO_LABELS,
        placements: Placements | None = None,
        slots: int | None = None,
        grant: Granting | None = None,
    ) -> None:
        """A worker with these labels is connected; it has no credit yet. What it is given is noted in
        ``placements``. ``grant``: what it gets in place of jobs, if its engine is elsewhere.
        """
        self.seats.add(Seat(session, link, labels, placements, slots, grant))
        self._offer()

    def detach(self, session: SessionId, link: Link | None = None) -> None:
        """Nothing goes to this session any more (only if its link is ``link``, when one is given)."""
        seat = self.seats.get(session)
        if seat is not None and (link is None or seat.link is link):
            self.seats.remove(session)
            self._offer()

    def credit(self, session: SessionId, more: int, extra: int = 0) -> None:
        """A worker can take ``more`` further jobs; ``extra`` of all that it has need no slot."""
        seat = self.seats.get(session)
        if seat is not None:
            seat.extra = extra
            seat.unused(more)
            if self.scheduler or self._unread:
                self._event.set()

    def drain(self, session: SessionId) -> None:
        """The session's worker gets nothing more, whatever credit it gives, until ``resume``."""
        seat = self.seats.get(session)
        if seat is not None:
            seat.drain()

    def resume(self, session: SessionId) -> None:
        """The session's worker gets jobs again, for the credit that it gave meanwhile, too."""
        seat = self.seats.get(session)
        if seat is not None:
            seat.resume()
            self._event.set()

    def probe(self, session: SessionId) -> None:
        """The session's worker, which gets nothing, gets one job all the same."""
        seat = self.seats.get(session)
        if seat is not None:
            seat.probe()
            self._event.set()

    def place(self, lane: Lane, job: JobId, *, at_once: bool = True) -> Seat | None:
        """A seat for a new job, which uses credit and slots; None: it has to stand in line (``ready``).

        ``at_once`` false: it has to in any case, as its secrets are to be looked up when its turn comes.
        """
        now = self._clock.now_ms()
        self.scheduler.came(lane, now)
        if not at_once or not self._known or not self.scheduler.admit(lane, now):
            return None
        seat = self.seats.take(lane.labels)
        self.scheduler.admitted(lane, job if seat is not None else None)
        return seat

    def ready(self, lane: Lane) -> None:
        """New jobs of this lane are pending, or are about to in a call to the queue that was made already."""
        self.renewed({lane.id: lane})

    def renewed(self, lanes: Mapping[int, Lane]) -> None:
        """Jobs of these lanes, by number, are pending."""
        for lane_id, lane in lanes.items():
            self.scheduler.ready(lane, lane_id)
        self._renewed.update(lanes)
        self._event.set()

    def pending(self) -> None:
        """Jobs have become pending, whichever: all lanes are read."""
        self._unread = True
        self._event.set()

    def concerns(self, job: JobId) -> bool:
        return self.scheduler.limits.has(job)

    def ended(self, jobs: Sequence[JobId]) -> None:
        if self.scheduler.ended(jobs):
            self._event.set()

    def pause_queue(self, namespace: str, queue: str) -> None:
        """Nothing of this queue goes to workers any more."""
        self.scheduler.pause((namespace, queue))

    def resume_queue(self, namespace: str, queue: str) -> None:
        """The queue goes on."""
        self.scheduler.resume((namespace, queue))
        self._event.set()

    def limit_running(self, limits: Mapping[str, int]) -> None:
        """How many jobs of each of these namespaces may be at workers at once; no limit for the others.

        Lower ones take nothing from workers.
        """
        self.scheduler.set_running_limits(limits)
        self._uncounted = bool(self.scheduler.limits.uncounted())
        self._event.set()

    def stop(self, session: SessionId, placed: Placed, *, cancel: bool) -> None:
        """A job is being paused, or cancelled: its worker must stop it, if it is connected."""
        seat = self.seats.get(session)
        if seat is not None:
            seat.stop(placed, cancel=cancel)

    def left(self, session: SessionId, placements: Sequence[Placed]) -> None:
        """These are not at the session's worker any more."""
        seat = self.seats.get(session)
        if seat is not None:
            self.seats.measure(seat.forget(placements), self._clock.now_ms())
        self.unplaced(placements)

    def when_unplaced(self, tell: Callable[[Sequence[Placed]], None]) -> None:
        """``tell`` is told of all placements that are over from now on."""
        self._when_unplaced.append(tell)

    def unplaced(self, placements: Sequence[Placed]) -> None:
        """These are over."""
        for tell in self._when_unplaced:
            tell(placements)
        if self.scheduler.unplaced(placements):
            self._event.set()

    async def run(self) -> None:
        """Claims for whoever has credit what is ready, until it is cancelled."""
        while True:
            next_ms = self.scheduler.next_ms()
            if next_ms is None:
                await self._event.wait()
            else:
                await first_of(self._clock, max(1, next_ms - self._clock.now_ms()), self._event)
            self._event.clear()
            # Also if nobody has credit: a time that has come is not waited for again.
            self.scheduler.release(self._clock.now_ms())
            if self._uncounted and not await self._recount():
                continue
            if self._unread and not await self._read():
                continue
            while any(seat.credits > 0 for seat in self.seats) and await self._round():
                pass

    async def _count(self) -> list[Holder]:
        """Counts what workers have of namespaces that got a limit. Returns all that holds slots."""
        self._uncounted = False
        accounts = self.scheduler.limits.uncounted()
        holders = await self._queue.holders()
        self.scheduler.counted(accounts, [(h.placed, h.lane.namespace) for h in holders if h.placed])
        return holders

    async def _recount(self) -> bool:
        """The same while jobs come and go. False if the store failed: it is asked again."""
        try:
            # An empty write: when it is answered, what was placed before the limit was set can be read.
            await self._queue.start((), self._clock.now_ms())
            await self._count()
        except Unavailable as error:
            log.warning("running_not_counted", error=str(error), again_in_ms=PAUSE_MS)
            await self._clock.sleep(PAUSE_MS)
            self._uncounted = True
            self._event.set()
            return False
        return True

    async def _read(self) -> bool:
        """Learns what is ready. False if the store failed: it is asked again."""
        self._unread = False
        try:
            lanes = await self._queue.ready_lanes()
        except Unavailable as error:
            log.warning("lanes_not_read", error=str(error), again_in_ms=PAUSE_MS)
            await self._clock.sleep(PAUSE_MS)
            self.pending()
            return False
        self.renewed(lanes)
        self._known = True
        return True

    def _offer(self) -> None:
        self.scheduler.offers(seat.labels for seat in self.seats)

    async def _round(self) -> bool:
        """Claims for each worker with credit, all handed to the queue at once (and so into one commit).

        False if nothing can be claimed now.
        """
        self._renewed.clear()
        claims: list[Claim] = []
        now = self._clock.now_ms()
        for seat in sorted(self.seats, key=lambda seat: -seat.credits):
            while seat.credits > 0:
                turn = self.scheduler.turn(seat.labels, min(seat.credits, CLAIM), now, seat.free)
                if turn is None:
                    break
                seat.credits -= turn.limit
                seat.claiming += 1
                seat.asked += turn.limit
                claimed = self._queue.claim(seat.session, turn.lane_id, turn.limit, turn.level)
                claims.append(Claim(seat, turn, claimed))
        # All are settled before anything is sent: that may take its time, and what was claimed may end.
        answers = [await self._settle(claim) for claim in claims]
        well = None not in answers
        for claim, jobs in zip(claims, answers, strict=True):
            try:
                well &= await self._send(claim.seat, jobs or (), claim.turn.lane.namespace)
            finally:
                claim.seat.claimed()
        if not well:
            await self._clock.sleep(PAUSE_MS)
        return bool(claims)

    async def _settle(self, claim: Claim) -> list[ClaimedJob] | None:
        """What a claim brought, noted in limits and credit. None if the store failed."""
        seat, turn = claim.seat, claim.turn
        jobs: list[ClaimedJob] = []
        try:
            jobs = await claim.jobs
        except Unavailable as error:
            log.warning("claim_failed", error=str(error), again_in_ms=PAUSE_MS)
            return None
        finally:
            self.scheduler.settle(turn, (Placed(job.id, job.epoch) for job in jobs))
            seat.asked -= turn.limit
            seat.unused(turn.limit - len(jobs))
        if len(jobs) < turn.limit and turn.lane_id not in self._renewed:
            self.scheduler.emptied(turn.lane_id)
        return jobs

    async def _send(self, seat: Seat, jobs: Sequence[ClaimedJob], namespace: str) -> bool:
        if seat.grant is not None:
            self._entrust(seat, jobs)
            return True
        fresh = [job for job in jobs if not job.journal_length]
        well = True
        if fresh and seat.open:
            well = await self._hand_over(seat, fresh, self.assignments.fresh(namespace, fresh))
        for job in jobs:
            # A seat that is gone: the queue gives the job back when the session ends or the worker returns.
            if job.journal_length and seat.open:
                well &= await self._hand_over(
                    seat, (job,), self.assignments.resumed(namespace, job, seat.session)
                )
        return well

    def _entrust(self, seat: Seat, jobs: Sequence[ClaimedJob]) -> None:
        """Its engine asks for what is to be run, with the grants."""
        if seat.open and jobs:
            now = self._clock.now_ms()
            self.times.claimed(seat.entrust([Placed(job.id, job.epoch) for job in jobs], now), now)
            self._stop_cancelling(seat, jobs)

    def _stop_cancelling(self, seat: Seat, jobs: Sequence[ClaimedJob]) -> None:
        for job in jobs:
            if job.cancelling:
                seat.stop(Placed(job.id, job.epoch), cancel=True)

    def _assign(self, seat: Seat, items: Sequence[Assignment]) -> None:
        now = self._clock.now_ms()
        self.times.claimed(seat.assign(items, now), now)

    async def _hand_over(
        self, seat: Seat, jobs: Sequence[ClaimedJob], assignments: Awaitable[list[Assignment]]
    ) -> bool:
        try:
            items = await assignments
        except Unavailable as error:
            log.warning("jobs_not_assigned", jobs=len(jobs), error=str(error))
            seat.unused(len(jobs))
            return await self._give_back([Placed(job.id, job.epoch) for job in jobs])
        seat.unused(len(jobs) - len(items))
        if seat.open:
            self._assign(seat, items)
            self._stop_cancelling(seat, jobs)
        return True

    async def _give_back(self, placements: Sequence[Placed]) -> bool:
        """Always False: the store has failed."""
        try:
            reports = [Report(placed=placed, outcome=Released()) for placed in placements]
            done = await self._queue.report(reports, self._clock.now_ms())
            self.unplaced([placed for placed, well in zip(placements, done, strict=True) if well])
        except Unavailable as error:
            # Their session holds them until it ends: nothing is lost, but they wait.
            log.warning("jobs_not_given_back", jobs=len(placements), error=str(error))
        self.pending()
        return False

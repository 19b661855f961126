"""Dispatch: pending jobs go to workers that have credit. Nothing polls: credit and new pending jobs are
events.

New jobs are normally placed as they are inserted (``submit``); the claims here are for the backlog: jobs
for which no worker had credit, that came back from a lost worker, or that woke.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Final

import structlog

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import JobId, SessionId
from mvm_ci.domain.job import ClaimedJob, Placed
from mvm_ci.domain.outcome import Released
from mvm_ci.domain.segment import Segment
from mvm_ci.lifecycle.link import Link
from mvm_ci.lifecycle.placements import Placements
from mvm_ci.lifecycle.seats import NO_LABELS, Seat, Seats, fits_frame
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import JobQueue, Report
from mvm_ci.wire.messages import Assignment

log = structlog.get_logger(__name__)

CLAIM: Final = 256
"""Jobs of one claim."""
PAUSE_MS: Final = 1_000
"""Before a store that failed is asked again."""


class Dispatcher:
    """Owns the seats. ``backlog``: there may be pending jobs; as long as there are, new jobs queue up
    behind them.
    """

    def __init__(self, queue: JobQueue, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock
        self.seats = Seats()
        self.backlog = True
        self._renewed = False
        self._event = asyncio.Event()

    def attach(
        self,
        session: SessionId,
        link: Link,
        labels: Mapping[str, str] = NO_LABELS,
        placements: Placements | None = None,
    ) -> None:
        """A worker with these labels is connected; it has no credit yet. What it is given is noted in
        ``placements``.
        """
        self.seats.add(Seat(session, link, labels, placements))

    def detach(self, session: SessionId, link: Link | None = None) -> None:
        """Nothing goes to this session any more (only if its link is ``link``, when one is given)."""
        seat = self.seats.get(session)
        if seat is not None and (link is None or seat.link is link):
            self.seats.remove(session)

    def credit(self, session: SessionId, more: int) -> None:
        """A worker can take ``more`` further jobs."""
        seat = self.seats.get(session)
        if seat is not None:
            seat.unused(more)
            if self.backlog:
                self._event.set()

    def drain(self, session: SessionId) -> None:
        """The session's worker gets nothing more, whatever credit it gives."""
        seat = self.seats.get(session)
        if seat is not None:
            seat.draining = True
            seat.credits = 0

    def pending(self) -> None:
        """Jobs have become pending, or are about to in a call to the queue that was made already."""
        self.backlog = self._renewed = True
        self._event.set()

    def stop(self, session: SessionId, placed: Placed) -> None:
        """A job is being cancelled: its worker must stop it, if it is connected."""
        seat = self.seats.get(session)
        if seat is not None:
            seat.stop(placed)

    def left(self, session: SessionId, jobs: Sequence[JobId]) -> None:
        """These jobs are not at the session's worker any more."""
        seat = self.seats.get(session)
        if seat is not None:
            self.seats.measure(seat.forget(jobs), self._clock.now_ms())

    async def run(self) -> None:
        """Claims the backlog for whoever has credit, until it is cancelled."""
        while True:
            await self._event.wait()
            self._event.clear()
            while self.backlog and any(seat.credits > 0 for seat in self.seats):
                await self._round()

    async def _round(self) -> None:
        """One claim for each worker with credit, all handed to the queue at once (and so into one commit)."""
        self._renewed = False
        claims: list[tuple[Seat, int, Awaitable[list[ClaimedJob]]]] = []
        for seat in sorted(self.seats, key=lambda seat: -seat.credits):
            limit = min(seat.credits, CLAIM)
            if limit < 1:
                break
            seat.credits -= limit
            seat.claiming += 1
            claims.append((seat, limit, self._queue.claim(seat.session, limit)))
        failed = False
        for seat, limit, claim in claims:
            try:
                failed |= not await self._fill(seat, limit, claim)
            finally:
                seat.claimed()
        if failed:
            await self._clock.sleep(PAUSE_MS)

    async def _fill(self, seat: Seat, limit: int, claim: Awaitable[list[ClaimedJob]]) -> bool:
        """Sends what was claimed for a seat. False if the store failed."""
        try:
            jobs = await claim
        except Unavailable as error:
            log.warning("claim_failed", error=str(error), again_in_ms=PAUSE_MS)
            seat.unused(limit)
            return False
        seat.unused(limit - len(jobs))
        if len(jobs) < limit and not self._renewed:
            self.backlog = False
        return await self._send(seat, jobs)

    async def _send(self, seat: Seat, jobs: Sequence[ClaimedJob]) -> bool:
        fresh = [job for job in jobs if not job.journal_length]
        if fresh and seat.open:
            items = [Assignment(Placed(job.id, job.epoch), job.attempt, job.spec) for job in fresh]
            seat.assign(items, self._clock.now_ms())
        well = True
        for job in jobs:
            # A seat that is gone: the queue gives the job back when the session ends or the worker returns.
            if job.journal_length and seat.open:
                well &= await self._send_with_journal(seat, job)
        return well

    async def _send_with_journal(self, seat: Seat, job: ClaimedJob) -> bool:
        placed = Placed(job.id, job.epoch)
        try:
            journal = await read_journal(self._queue, job.id, job.attempt, job.journal_length)
        except Unavailable as error:
            log.warning("journal_not_read", job=job.id, error=str(error))
            seat.unused(1)
            return await self._give_back(placed)
        if seat.open:
            if not fits_frame(sum(len(segment.data) for segment in journal)):
                journal = ()
            item = Assignment(placed, job.attempt, job.spec, journal, job.journal_length)
            seat.assign([item], self._clock.now_ms())
        return True

    async def _give_back(self, placed: Placed) -> bool:
        """Always False: the store has failed."""
        try:
            await self._queue.report([Report(placed=placed, outcome=Released())], self._clock.now_ms())
        except Unavailable as error:
            # Its session holds it until it ends: nothing is lost, but it waits.
            log.warning("job_not_given_back", job=placed.job, error=str(error))
        self.pending()
        return False


async def read_journal(queue: JobQueue, job: JobId, attempt: int, length: int) -> tuple[Segment, ...]:
    """The segments that hold the first ``length`` entries of an attempt. Raises ``Unavailable`` if some are
    missing.
    """
    segments: list[Segment] = []
    at = 0
    while at < length:
        more = await queue.journal(job, attempt, at)
        if not more:
            raise Unavailable(f"the journal of job {job} ends at entry {at} of {length}")
        segments += more
        at = more[-1].first + more[-1].count
    return tuple(segments)

"""The job queue in memory."""

import asyncio
from collections.abc import Sequence
from operator import attrgetter
from typing import TypeVar

from mvm_ci.adapters.memory.record import Record
from mvm_ci.domain.ids import JobId, SessionId
from mvm_ci.domain.job import PLACED, ClaimedJob, Event, Job, JobState, NewJob, Placed, sources
from mvm_ci.ports.job_queue import Append, Cancelled, CancelResult, Report, Rescued, Segment

T = TypeVar("T")


def _answered(result: T) -> asyncio.Future[T]:
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    future.set_result(result)
    return future


class MemoryJobQueue:
    """A ``JobQueue`` whose calls take effect before they return."""

    def __init__(self) -> None:
        self._records: dict[JobId, Record] = {}

    def submit(self, jobs: Sequence[NewJob]) -> asyncio.Future[None]:
        for new in jobs:
            if new.id not in self._records:
                self._records[new.id] = Record.of(new)
        return _answered(None)

    def claim(self, session: SessionId, limit: int) -> asyncio.Future[list[ClaimedJob]]:
        ready = sorted(record.job.id for record in self._in_state(JobState.PENDING))
        claimed = [self._records[job_id].claim(session) for job_id in ready[:limit]]
        return _answered(claimed)

    def start(self, placements: Sequence[Placed], now_ms: int) -> asyncio.Future[list[bool]]:
        return _answered([self._start(placed, now_ms) for placed in placements])

    def _start(self, placed: Placed, now_ms: int) -> bool:
        record = self._current(placed)
        if record is None:
            return False
        if record.job.state in sources(Event.START):
            started_ms = record.job.started_ms
            record.move(Event.START, started_ms=now_ms if started_ms is None else started_ms)
        return True

    def append(self, segments: Sequence[tuple[Placed, Segment]]) -> asyncio.Future[list[Append]]:
        return _answered([self._append(placed, segment) for placed, segment in segments])

    def _append(self, placed: Placed, segment: Segment) -> Append:
        record = self._current(placed)
        if record is None:
            return Append.STALE
        if record.fits(segment):
            record.write(segment)
            return Append.DONE
        return Append.DONE if record.holds(segment) else Append.GAP

    def report(self, reports: Sequence[Report], now_ms: int) -> asyncio.Future[list[bool]]:
        return _answered([self._report(report, now_ms) for report in reports])

    def _report(self, report: Report, now_ms: int) -> bool:
        record = self._records.get(report.placed.job)
        if record is None or record.job.epoch != report.placed.epoch:
            return False
        return record.ended_by == report or record.end(report, now_ms)

    def cancel(self, job: JobId, now_ms: int) -> asyncio.Future[CancelResult]:
        return _answered(self._cancel(job, now_ms))

    def _cancel(self, job_id: JobId, now_ms: int) -> CancelResult:
        record = self._records.get(job_id)
        if record is None:
            return CancelResult(cancelled=Cancelled.UNKNOWN)
        if record.job.state not in sources(Event.CANCEL):
            return CancelResult(cancelled=Cancelled.ALREADY)
        record.move(Event.CANCEL, now_ms=now_ms)
        if record.job.state is JobState.CANCELLED:
            return CancelResult(cancelled=Cancelled.DONE)
        placed = Placed(job_id, record.job.epoch)
        return CancelResult(cancelled=Cancelled.STOPPING, placed=placed, session=record.job.session)

    def rescue(
        self, session: SessionId, now_ms: int, max_losses: int, keep: Sequence[Placed] = ()
    ) -> asyncio.Future[Rescued]:
        became: dict[JobState, list[JobId]] = {}
        for placed in self._held(session):
            if placed not in keep:
                record = self._records[placed.job]
                record.lose(now_ms, max_losses)
                became.setdefault(record.job.state, []).append(placed.job)
        return _answered(
            Rescued(
                pending=tuple(became.get(JobState.PENDING, ())),
                dead=tuple(became.get(JobState.DEAD, ())),
                cancelled=tuple(became.get(JobState.CANCELLED, ())),
            )
        )

    def held(self, session: SessionId) -> asyncio.Future[list[Placed]]:
        return _answered(self._held(session))

    def _held(self, session: SessionId) -> list[Placed]:
        held = (record.job for record in self._in_state(*PLACED) if record.job.session == session)
        return [Placed(job.id, job.epoch) for job in sorted(held, key=attrgetter("id"))]

    def wake(self, now_ms: int, limit: int) -> asyncio.Future[int]:
        due = [(wake_ms, job_id) for wake_ms, job_id in self._waiting() if wake_ms <= now_ms]
        woken = sorted(due)[:limit]
        for _, job_id in woken:
            self._records[job_id].move(Event.WAKE)
        return _answered(len(woken))

    def next_wake(self) -> asyncio.Future[int | None]:
        return _answered(min((wake_ms for wake_ms, _ in self._waiting()), default=None))

    def get(self, jobs: Sequence[JobId]) -> asyncio.Future[list[Job | None]]:
        found = (self._records.get(job_id) for job_id in jobs)
        return _answered([record.job if record else None for record in found])

    def list_jobs(
        self,
        *,
        states: Sequence[JobState] = (),
        before: JobId | None = None,
        after: JobId | None = None,
        limit: int = 100,
    ) -> asyncio.Future[list[Job]]:
        newest = sorted((record.job for record in self._in_state(*states or JobState)), key=attrgetter("id"))
        asked = [
            job
            for job in reversed(newest)
            if (before is None or job.id < before) and (after is None or job.id >= after)
        ]
        return _answered(asked[:limit])

    def counts(self) -> asyncio.Future[dict[JobState, int]]:
        by_state = {state: len(self._in_state(state)) for state in JobState}
        return _answered({state: count for state, count in by_state.items() if count})

    def journal(
        self, job: JobId, attempt: int, first: int = 0, limit: int = 1000
    ) -> asyncio.Future[list[Segment]]:
        record = self._records.get(job)
        segments = record.journal(attempt) if record else []
        asked = [segment for segment in segments if segment.first + segment.count > first]
        return _answered(asked[:limit])

    def _current(self, placed: Placed) -> Record | None:
        """The job's record if this placement is not over."""
        record = self._records.get(placed.job)
        if record is None or record.job.epoch != placed.epoch or record.job.state not in PLACED:
            return None
        return record

    def _in_state(self, *states: JobState) -> list[Record]:
        return [record for record in self._records.values() if record.job.state in states]

    def _waiting(self) -> list[tuple[int, JobId]]:
        jobs = (record.job for record in self._in_state(*sources(Event.WAKE)))
        return [(job.wake_ms, job.id) for job in jobs if job.wake_ms is not None]

"""What people, times and other jobs do to jobs, in memory."""

import asyncio
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from mvm_ci.adapters.memory.reads import Reads, answered
from mvm_ci.adapters.memory.record import Record
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import FINAL, Event, JobState, Placed, sources
from mvm_ci.domain.options import Needs
from mvm_ci.domain.outcome import EXPIRED, OVERDUE, SUPERSEDED, UNMET, Failure
from mvm_ci.ports.job_queue import Cancelled, CancelResult, Change, Changed, Settled


class Changes(Reads):
    """Changes of jobs by id."""

    def cancel(self, jobs: Sequence[JobId], now_ms: int) -> asyncio.Future[list[CancelResult]]:
        return answered([self._cancel(job, now_ms, None) for job in jobs])

    def supersede(self, jobs: Sequence[JobId], now_ms: int) -> asyncio.Future[list[CancelResult]]:
        return answered([self._cancel(job, now_ms, SUPERSEDED) for job in jobs])

    def _cancel(self, job_id: JobId, now_ms: int, why: Failure | None) -> CancelResult:
        record = self._records.get(job_id)
        if record is None:
            return CancelResult(cancelled=Cancelled.UNKNOWN)
        if record.job.state not in sources(Event.CANCEL):
            return CancelResult(cancelled=Cancelled.ALREADY)
        record.cancel(now_ms, why)
        if record.job.state is JobState.CANCELLED:
            return CancelResult(cancelled=Cancelled.DONE)
        if record.job.session is None:
            return CancelResult(cancelled=Cancelled.STOPPING)
        placed = Placed(job_id, record.job.epoch)
        return CancelResult(cancelled=Cancelled.STOPPING, placed=placed, session=record.job.session)

    def pause(self, jobs: Sequence[JobId]) -> asyncio.Future[list[Changed]]:
        there = {JobState.PAUSED, JobState.PAUSING}
        return answered(
            [self._change(job, Event.PAUSE, there, lambda r: r.move(Event.PAUSE)) for job in jobs]
        )

    def resume(self, jobs: Sequence[JobId], now_ms: int) -> asyncio.Future[list[Changed]]:
        there = set(JobState) - FINAL - {JobState.PAUSED, JobState.PAUSING}

        def resume(record: Record) -> None:
            record.resume(now_ms, blocked=not record.begun and not self._met(record))

        return answered([self._change(job, Event.RESUME, there, resume) for job in jobs])

    def revive(self, jobs: Sequence[JobId]) -> asyncio.Future[list[Changed]]:
        there = set(JobState) - FINAL
        return answered([self._change(job, Event.REVIVE, there, Record.revive) for job in jobs])

    def _change(
        self, job_id: JobId, event: Event, there: set[JobState], carry_out: Callable[[Record], None]
    ) -> Changed:
        record = self._records.get(job_id)
        if record is None:
            return Changed(change=Change.UNKNOWN)
        if record.job.state not in sources(event):
            return Changed(change=Change.ALREADY if record.job.state in there else Change.REFUSED)
        carry_out(record)
        if record.job.state is not JobState.PAUSING:
            return Changed(change=Change.DONE)
        placed = Placed(job_id, record.job.epoch)
        return Changed(change=Change.STOPPING, placed=placed, session=record.job.session)

    def delete(self, jobs: Sequence[JobId]) -> asyncio.Future[list[Changed]]:
        deletable = {job for job in jobs if self._deletable(job)}
        known = {job for job in jobs if job in self._records}
        for job in deletable:
            del self._records[job]
        return answered(
            [
                Changed(
                    change=Change.DONE
                    if job in deletable
                    else Change.REFUSED
                    if job in known
                    else Change.UNKNOWN
                )
                for job in jobs
            ]
        )

    def _deletable(self, job: JobId) -> bool:
        record = self._records.get(job)
        if record is None or record.job.state not in FINAL:
            return False
        return not any(other.needs(job) for other in self._in_state(*(set(JobState) - FINAL)))

    def settle(self, ended: Sequence[JobId], now_ms: int) -> asyncio.Future[Settled]:
        became: dict[JobState, list[JobId]] = {}
        asked = set(ended)
        while asked:
            cancelled: set[JobId] = set()
            blocked = [r for r in self._in_state(JobState.BLOCKED) if asked & {d.job for d in r.after}]
            # What one pass cancels is looked at in the next.
            for record, failed, met in [
                (r, self._failed(r) or self._lacks(r), self._met(r)) for r in blocked
            ]:
                if failed:
                    record.move(Event.CANCEL, now_ms=now_ms, failure=UNMET)
                    cancelled.add(record.job.id)
                elif met:
                    record.unblock(now_ms)
                if failed or met:
                    became.setdefault(record.job.state, []).append(record.job.id)
            asked = cancelled
        return answered(
            Settled(
                lanes=self._lanes(became.get(JobState.PENDING, ())),
                pending=tuple(sorted(became.get(JobState.PENDING, ()))),
                scheduled=tuple(sorted(became.get(JobState.SCHEDULED, ()))),
                cancelled=tuple(sorted(became.get(JobState.CANCELLED, ()))),
            )
        )

    def _failed(self, record: Record) -> bool:
        """Whether a job that this one needs ended without success."""
        needed = [d.job for d in record.after if d.needs is Needs.SUCCESS and d.job in self._records]
        states = {self._records[job].job.state for job in needed}
        return bool(states & (FINAL - {JobState.COMPLETED}))

    def _lacks(self, record: Record) -> bool:
        """Whether a job that this one waits for is not there."""
        return any(dependency.job not in self._records for dependency in record.after)

    def _met(self, record: Record) -> bool:
        """Whether all that this one waits for has ended as it must."""
        known = [d.job for d in record.after if d.job in self._records]
        ended = all(self._records[job].job.state in FINAL for job in known)
        return ended and not self._failed(record)

    def expire(self, now_ms: int, limit: int) -> asyncio.Future[list[JobId]]:
        return answered(self._fail(Event.EXPIRE, EXPIRED, self._expiring(), now_ms, limit))

    def overdue(self, now_ms: int, limit: int) -> asyncio.Future[list[JobId]]:
        return answered(self._fail(Event.OVERDUE, OVERDUE, self._late(), now_ms, limit))

    def _fail(
        self, event: Event, why: Failure, times: Sequence[tuple[int, JobId]], now_ms: int, limit: int
    ) -> list[JobId]:
        due = sorted((at_ms, job) for at_ms, job in times if at_ms <= now_ms)[:limit]
        jobs = sorted(job for _, job in due)
        for job in jobs:
            record = self._records[job]
            record.move(event, now_ms=now_ms, failure=why)
            record.job = replace(record.job, expires_ms=None)
        return jobs

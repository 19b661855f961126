"""The job queue in memory."""

import asyncio
from collections.abc import Sequence

from mvm_ci.adapters.memory.changes import Changes
from mvm_ci.adapters.memory.reads import Reads, answered
from mvm_ci.adapters.memory.record import Kept, Piece, Record
from mvm_ci.domain.ids import JobId, SessionId
from mvm_ci.domain.job import FINAL, PLACED, ClaimedJob, Event, JobState, NewJob, Placed, sources
from mvm_ci.domain.level import Level
from mvm_ci.domain.mail import of_child
from mvm_ci.domain.segment import Prefix
from mvm_ci.ports.job_queue import Append, Report, Rescued, Segment, Woken


class MemoryJobQueue(Changes, Reads):
    """A ``JobQueue`` whose calls take effect before they return."""

    def submit(self, jobs: Sequence[NewJob], levels: Sequence[Level] = ()) -> asyncio.Future[None]:
        for new in jobs:
            if new.id not in self._records:
                self._records[new.id] = Record.of(new, self._ended)
        self._levels.update(((level.namespace, level.key), level) for level in levels)
        return answered(None)

    def _ended(self, record: Record) -> None:
        """A child's end is mail for its parent."""
        job = record.job
        of = job.options.parent
        parent = self._records.get(of.job) if of is not None else None
        if parent is None or parent.job.state in FINAL - {JobState.DEAD}:
            return
        piece = Piece(self.next_number(), of_child(job.id), "", job.result, job.failure, job.state)
        parent.post(piece)

    def next_number(self) -> int:
        """Of a piece of mail that comes now."""
        last = (record.mail[-1].number for record in self._records.values() if record.mail)
        return 1 + max(last, default=0)

    def fork(self, new: NewJob, prefix: Prefix) -> asyncio.Future[bool]:
        if new.id in self._records:
            return answered(True)
        source = self._records.get(prefix.job)
        kept = source.journal(prefix.attempt) if source is not None else []
        if not kept:
            return answered(False)
        copied = [one for one in kept if prefix.begin <= one.first and one.first + one.count <= prefix.end]
        segments = sorted([*copied, *prefix.others], key=lambda segment: segment.first)
        if sum(segment.count for segment in segments) != prefix.length:
            return answered(False)
        record = self._records[new.id] = Record.of(new, self._ended)
        for segment in segments:
            record.write(segment)
        for artifact in prefix.artifacts:
            record.artifacts.setdefault(artifact.name, Kept(artifact, new.created_ms, False))
        return answered(True)

    def claim(
        self, session: SessionId, lane: int, limit: int, level: Level | None = None
    ) -> asyncio.Future[list[ClaimedJob]]:
        pending = self._in_state(JobState.PENDING)
        ready = sorted(record.job.id for record in pending if record.lane_id == lane)
        claimed = [self._records[job_id].claim(session) for job_id in ready[:limit]]
        if level is not None and claimed:
            self._levels[level.namespace, level.key] = level.unused(limit - len(claimed))
        return answered(claimed)

    def start(self, placements: Sequence[Placed], now_ms: int) -> asyncio.Future[list[bool]]:
        return answered([self._start(placed, now_ms) for placed in placements])

    def _start(self, placed: Placed, now_ms: int) -> bool:
        record = self._current(placed)
        if record is None:
            return False
        if record.job.state in sources(Event.START):
            started_ms = record.job.started_ms
            record.move(Event.START, started_ms=now_ms if started_ms is None else started_ms)
        return True

    def append(self, segments: Sequence[tuple[Placed, Segment]]) -> asyncio.Future[list[Append]]:
        return answered([self._append(placed, segment) for placed, segment in segments])

    def _append(self, placed: Placed, segment: Segment) -> Append:
        record = self._current(placed)
        if record is None:
            return Append.STALE
        if record.fits(segment):
            record.write(segment)
            return Append.DONE
        return Append.DONE if record.holds(segment) else Append.GAP

    def cut_journal(self, placed: Placed, length: int) -> asyncio.Future[bool]:
        record = self._current(placed)
        if record is not None:
            record.cut(length)
        return answered(record is not None)

    def report(self, reports: Sequence[Report], now_ms: int) -> asyncio.Future[list[bool]]:
        return answered([self._report(report, now_ms) for report in reports])

    def _report(self, report: Report, now_ms: int) -> bool:
        record = self._records.get(report.placed.job)
        if record is None or record.job.epoch != report.placed.epoch:
            return False
        return record.ended_by == report or record.end(report, now_ms)

    def rescue(
        self, session: SessionId, now_ms: int, max_losses: int, keep: Sequence[Placed] = ()
    ) -> asyncio.Future[Rescued]:
        became: dict[JobState, list[JobId]] = {}
        lost = tuple(placed for placed in self._held(session) if placed not in keep)
        for placed in lost:
            record = self._records[placed.job]
            record.lose(now_ms, max_losses)
            became.setdefault(record.job.state, []).append(placed.job)
        return answered(
            Rescued(
                placed=lost,
                pending=tuple(became.get(JobState.PENDING, ())),
                dead=tuple(became.get(JobState.DEAD, ())),
                cancelled=tuple(became.get(JobState.CANCELLED, ())),
                paused=tuple(became.get(JobState.PAUSED, ())),
            )
        )

    def wake(self, now_ms: int, limit: int) -> asyncio.Future[Woken]:
        due = [(wake_ms, job_id) for wake_ms, job_id in self._waiting() if wake_ms <= now_ms]
        woken = [job_id for _, job_id in sorted(due)[:limit]]
        for job_id in woken:
            self._records[job_id].move(Event.WAKE)
        return answered(Woken(jobs=len(woken), lanes=self._lanes(woken)))

    def journal(
        self, job: JobId, attempt: int, first: int = 0, limit: int = 1000
    ) -> asyncio.Future[list[Segment]]:
        record = self._records.get(job)
        segments = record.journal(attempt) if record else []
        asked = [segment for segment in segments if segment.first + segment.count > first]
        return answered(asked[:limit])

    def _current(self, placed: Placed) -> Record | None:
        """The job's record if this placement is not over."""
        record = self._records.get(placed.job)
        if record is None or record.job.epoch != placed.epoch or record.job.state not in PLACED:
            return None
        return record

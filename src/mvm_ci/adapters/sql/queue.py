"""The job queue in SQL: writes go to the writer in the order of the calls, reads to the readers."""

import asyncio
from collections.abc import Sequence
from functools import partial

from mvm_ci.adapters.sql import change_writes, fork_writes, job_reads, job_writes, report_writes, rows
from mvm_ci.adapters.sql import levels as rate_levels
from mvm_ci.adapters.sql.reader import Reader
from mvm_ci.adapters.sql.writer import Writer
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import JobId, SessionId
from mvm_ci.domain.job import ClaimedJob, Job, JobState, NewJob, Placed
from mvm_ci.domain.lane import Lane
from mvm_ci.domain.level import Level
from mvm_ci.domain.options import Dependency
from mvm_ci.domain.outcome import SUPERSEDED
from mvm_ci.domain.segment import Prefix
from mvm_ci.ports.job_queue import (
    EVERY_JOB,
    Append,
    CancelResult,
    Changed,
    Holder,
    JobFilter,
    Keyed,
    Report,
    Rescued,
    Segment,
    Settled,
    Woken,
)


class SqlJobQueue:
    """A ``JobQueue``. What a call writes is made into rows by the call itself, in the event loop."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader
        self._forks: set[asyncio.Task[bool]] = set()

    def submit(self, jobs: Sequence[NewJob], levels: Sequence[Level] = ()) -> asyncio.Future[None]:
        new_rows = job_writes.NewRows(
            [rows.new_job_row(new) for new in jobs],
            [row for new in jobs if new.options.tags or new.options.metadata for row in rows.term_rows(new)],
            [row for new in jobs if new.options.after for row in rows.dependency_rows(new)],
            levels,
            [row for new in jobs if new.spec.inputs for row in rows.input_rows(new)],
        )
        return self._writer.call(job_writes.submit, new_rows)

    def fork(self, new: NewJob, prefix: Prefix) -> asyncio.Future[bool]:
        task = asyncio.get_running_loop().create_task(self._fork(new, prefix))
        self._forks.add(task)
        task.add_done_callback(self._forks.discard)
        # Who gives up waiting for it does not undo it.
        return asyncio.shield(task)

    async def _fork(self, new: NewJob, prefix: Prefix) -> bool:
        at: int | None = prefix.begin
        try:
            while at is not None and at < prefix.end:
                at = await self._writer.call(fork_writes.copy, fork_writes.Slice(new.id, prefix, at))
            fork = fork_writes.Fork(
                rows.whole_job_row(new),
                rows.term_rows(new),
                rows.input_rows(new),
                rows.artifact_rows(new, prefix.artifacts),
                prefix,
            )
            return await self._writer.call(fork_writes.fork, fork)
        except Unavailable:
            # It may be the disk that is full; at the next start, if not now, it is gone.
            self._writer.soon(fork_writes.drop, new.id)
            raise

    def claim(
        self, session: SessionId, lane: int, limit: int, level: Level | None = None
    ) -> asyncio.Future[list[ClaimedJob]]:
        return self._writer.call(job_writes.claim, (session, lane, limit, level))

    def start(self, placements: Sequence[Placed], now_ms: int) -> asyncio.Future[list[bool]]:
        started = [(placed.job, placed.epoch, now_ms) for placed in placements]
        return self._writer.call(job_writes.start, started)

    def append(self, segments: Sequence[tuple[Placed, Segment]]) -> asyncio.Future[list[Append]]:
        return self._writer.call(
            report_writes.append, [report_writes.added(placed, segment) for placed, segment in segments]
        )

    def cut_journal(self, placed: Placed, length: int) -> asyncio.Future[bool]:
        return self._writer.call(report_writes.cut_journal, (placed.job, placed.epoch, length))

    def report(self, reports: Sequence[Report], now_ms: int) -> asyncio.Future[list[bool]]:
        return self._writer.call(report_writes.report, [report_writes.end(one, now_ms) for one in reports])

    def cancel(self, jobs: Sequence[JobId], now_ms: int) -> asyncio.Future[list[CancelResult]]:
        return self._writer.call(change_writes.cancel, (tuple(jobs), now_ms, None))

    def supersede(self, jobs: Sequence[JobId], now_ms: int) -> asyncio.Future[list[CancelResult]]:
        return self._writer.call(change_writes.cancel, (tuple(jobs), now_ms, SUPERSEDED))

    def pause(self, jobs: Sequence[JobId]) -> asyncio.Future[list[Changed]]:
        return self._writer.call(change_writes.change, ("pause", tuple(jobs), None))

    def resume(self, jobs: Sequence[JobId], now_ms: int) -> asyncio.Future[list[Changed]]:
        return self._writer.call(change_writes.change, ("resume", tuple(jobs), now_ms))

    def revive(self, jobs: Sequence[JobId]) -> asyncio.Future[list[Changed]]:
        return self._writer.call(change_writes.change, ("revive", tuple(jobs), None))

    def delete(self, jobs: Sequence[JobId]) -> asyncio.Future[list[Changed]]:
        return self._writer.call(change_writes.delete, tuple(jobs))

    def settle(self, ended: Sequence[JobId], now_ms: int) -> asyncio.Future[Settled]:
        return self._writer.call(change_writes.settle, (tuple(ended), now_ms))

    def expire(self, now_ms: int, limit: int) -> asyncio.Future[list[JobId]]:
        return self._writer.call(change_writes.expire, (now_ms, limit))

    def rescue(
        self, session: SessionId, now_ms: int, max_losses: int, keep: Sequence[Placed] = ()
    ) -> asyncio.Future[Rescued]:
        return self._writer.call(job_writes.rescue, (session, now_ms, max_losses, tuple(keep)))

    def wake(self, now_ms: int, limit: int) -> asyncio.Future[Woken]:
        return self._writer.call(job_writes.wake, (now_ms, limit))

    def held(self, session: SessionId) -> asyncio.Future[list[Placed]]:
        return self._reader.read(partial(job_reads.held, session))

    def next_wake(self) -> asyncio.Future[int | None]:
        return self._reader.read(partial(job_reads.earliest, "next_wake"))

    def overdue(self, now_ms: int, limit: int) -> asyncio.Future[list[JobId]]:
        return self._writer.call(change_writes.overdue, (now_ms, limit))

    def next_deadline(self) -> asyncio.Future[int | None]:
        return self._reader.read(partial(job_reads.earliest, "next_deadline"))

    def deadlines(self) -> asyncio.Future[dict[JobId, int]]:
        return self._reader.read(job_reads.deadlines)

    def next_expiry(self) -> asyncio.Future[int | None]:
        return self._reader.read(partial(job_reads.earliest, "next_expiry"))

    def get(self, jobs: Sequence[JobId]) -> asyncio.Future[list[Job | None]]:
        return self._reader.read(partial(job_reads.get, tuple(jobs)))

    def dependencies(self, job: JobId) -> asyncio.Future[list[Dependency]]:
        return self._reader.read(partial(job_reads.dependencies, job))

    def list_jobs(self, which: JobFilter = EVERY_JOB, limit: int = 100) -> asyncio.Future[list[Job]]:
        return self._reader.read(partial(job_reads.listing, which, limit))

    def counts(self, namespace: str | None = None) -> asyncio.Future[dict[JobState, int]]:
        return self._reader.read(partial(job_reads.counts, namespace))

    def oldest_ready(self) -> asyncio.Future[JobId | None]:
        return self._reader.read(job_reads.oldest_ready)

    def waiting(self, namespace: str) -> asyncio.Future[int]:
        return self._reader.read(partial(job_reads.number, "waiting", (namespace,)))

    def stored(self, namespace: str) -> asyncio.Future[int]:
        return self._reader.read(partial(job_reads.number, "stored", (namespace,)))

    def ahead(self, job: JobId, limit: int) -> asyncio.Future[int]:
        return self._reader.read(partial(job_reads.number, "ahead", (job, limit)))

    def ready_lanes(self) -> asyncio.Future[dict[int, Lane]]:
        return self._reader.read(job_reads.ready_lanes)

    def upstreams(self) -> asyncio.Future[list[JobId]]:
        return self._reader.read(job_reads.upstreams)

    def holders(self) -> asyncio.Future[list[Holder]]:
        return self._reader.read(job_reads.holders)

    def levels(self, now_ms: int) -> asyncio.Future[list[Level]]:
        return self._writer.call(rate_levels.levels, now_ms)

    def with_key(self, namespace: str, key: str) -> asyncio.Future[list[JobId]]:
        return self._reader.read(partial(job_reads.with_key, namespace, key))

    def keyed(self, namespace: str, keys: Sequence[str]) -> asyncio.Future[dict[str, Keyed]]:
        return self._reader.read(partial(job_reads.keyed, namespace, tuple(keys)))

    def journal(
        self, job: JobId, attempt: int, first: int = 0, limit: int = 1000
    ) -> asyncio.Future[list[Segment]]:
        return self._reader.read(partial(job_reads.journal, (job, attempt, first, limit)))

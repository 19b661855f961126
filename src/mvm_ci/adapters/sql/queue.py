"""The job queue in SQL: writes go to the writer in the order of the calls, reads to the readers."""

import asyncio
import heapq
import json
import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Final

from mvm_ci.adapters.sql import job_writes, report_writes, rows
from mvm_ci.adapters.sql.queries import QUERIES
from mvm_ci.adapters.sql.reader import Reader
from mvm_ci.adapters.sql.writer import Writer
from mvm_ci.domain.ids import JobId, SessionId
from mvm_ci.domain.job import ClaimedJob, Job, JobState, NewJob, Placed
from mvm_ci.ports.job_queue import Append, CancelResult, Report, Rescued, Segment

_LAST_ID: Final = (1 << 63) - 1
_LISTS: Final = {
    JobState.PENDING: "list_ready",
    JobState.CLAIMED: "list_placed",
    JobState.IN_PROGRESS: "list_placed",
}
"""The statement that lists jobs in a state by the index that holds them."""


class SqlJobQueue:
    """A ``JobQueue``. What a call writes is made into rows by the call itself, in the event loop."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    def submit(self, jobs: Sequence[NewJob]) -> asyncio.Future[None]:
        return self._writer.call(job_writes.submit, [rows.new_job_row(new) for new in jobs])

    def claim(self, session: SessionId, limit: int) -> asyncio.Future[list[ClaimedJob]]:
        return self._writer.call(job_writes.claim, (session, limit))

    def start(self, placements: Sequence[Placed], now_ms: int) -> asyncio.Future[list[bool]]:
        started = [(placed.job, placed.epoch, now_ms) for placed in placements]
        return self._writer.call(job_writes.start, started)

    def append(self, segments: Sequence[tuple[Placed, Segment]]) -> asyncio.Future[list[Append]]:
        return self._writer.call(
            report_writes.append, [report_writes.added(placed, segment) for placed, segment in segments]
        )

    def report(self, reports: Sequence[Report], now_ms: int) -> asyncio.Future[list[bool]]:
        return self._writer.call(report_writes.report, [report_writes.end(one, now_ms) for one in reports])

    def cancel(self, job: JobId, now_ms: int) -> asyncio.Future[CancelResult]:
        return self._writer.call(job_writes.cancel, (job, now_ms))

    def rescue(
        self, session: SessionId, now_ms: int, max_losses: int, keep: Sequence[Placed] = ()
    ) -> asyncio.Future[Rescued]:
        return self._writer.call(job_writes.rescue, (session, now_ms, max_losses, tuple(keep)))

    def wake(self, now_ms: int, limit: int) -> asyncio.Future[int]:
        return self._writer.call(job_writes.wake, (now_ms, limit))

    def held(self, session: SessionId) -> asyncio.Future[list[Placed]]:
        return self._reader.read(partial(_held, session))

    def next_wake(self) -> asyncio.Future[int | None]:
        return self._reader.read(_next_wake)

    def get(self, jobs: Sequence[JobId]) -> asyncio.Future[list[Job | None]]:
        return self._reader.read(partial(_get, tuple(jobs)))

    def list_jobs(
        self,
        *,
        states: Sequence[JobState] = (),
        before: JobId | None = None,
        after: JobId | None = None,
        limit: int = 100,
    ) -> asyncio.Future[list[Job]]:
        last = _LAST_ID if before is None else before - 1
        return self._reader.read(partial(_list, frozenset(states), (after or 0, last, limit)))

    def counts(self) -> asyncio.Future[dict[JobState, int]]:
        return self._reader.read(_counts)

    def journal(
        self, job: JobId, attempt: int, first: int = 0, limit: int = 1000
    ) -> asyncio.Future[list[Segment]]:
        return self._reader.read(partial(_journal, (job, attempt, first, limit)))


# -------------------------------------------------------------------- in the readers' threads


def _held(session: SessionId, connection: sqlite3.Connection) -> list[Placed]:
    return [Placed(*row) for row in connection.execute(QUERIES["held"], (session,))]


def _next_wake(connection: sqlite3.Connection) -> int | None:
    row: tuple[int] | None = connection.execute(QUERIES["next_wake"]).fetchone()
    return None if row is None else row[0]


def _get(jobs: tuple[JobId, ...], connection: sqlite3.Connection) -> list[Job | None]:
    found = map(rows.job, connection.execute(QUERIES["get"], (json.dumps(jobs),)))
    by_id = {job.id: job for job in found}
    return [by_id.get(job) for job in jobs]


def _list(
    states: frozenset[JobState], page: tuple[int, int, int], connection: sqlite3.Connection
) -> list[Job]:
    if not states or len(states) == len(JobState):
        return [rows.job(row) for row in connection.execute(QUERIES["list"], page)]
    # Each state has its index: as many as asked for from each, then the newest of them all.
    newest: list[rows.Row] = []
    for state in states:
        name = _LISTS.get(state, "list_settled")
        values = page if state is JobState.PENDING else (*page, int(state))
        newest += connection.execute(QUERIES[name], values)
    return [rows.job(row) for row in heapq.nlargest(page[2], newest, key=lambda row: row[0])]


def _counts(connection: sqlite3.Connection) -> dict[JobState, int]:
    return {JobState(state): count for state, count in connection.execute(QUERIES["counts"])}


def _journal(page: tuple[int, int, int, int], connection: sqlite3.Connection) -> list[Segment]:
    return [Segment(*row) for row in connection.execute(QUERIES["journal"], page)]

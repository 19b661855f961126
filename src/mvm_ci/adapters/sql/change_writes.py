"""Carrying out what people, times and other jobs do to jobs. In the writer's thread."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Final

from mvm_ci.adapters.sql.job_writes import standing
from mvm_ci.adapters.sql.queries import QUERIES
from mvm_ci.adapters.sql.rows import failure_text, lanes_of
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import FINAL, JobState, Placed
from mvm_ci.domain.lane import Lane
from mvm_ci.domain.outcome import EXPIRED, OVERDUE, UNMET, Failure
from mvm_ci.ports.job_queue import Cancelled, CancelResult, Change, Changed, Settled

_REACHED: Final[Mapping[str, frozenset[JobState]]] = {
    "pause": frozenset({JobState.PAUSED, JobState.PAUSING}),
    "resume": frozenset(set(JobState) - FINAL - {JobState.PAUSED, JobState.PAUSING}),
    "revive": frozenset(set(JobState) - FINAL),
}
"""The states in which a change has nothing to do."""


def cancel(
    connection: sqlite3.Connection, calls: Sequence[tuple[Sequence[JobId], int, Failure | None]]
) -> list[list[CancelResult]]:
    """Cancels jobs."""
    return [_cancel(connection, *call) for call in calls]


def _cancel(
    connection: sqlite3.Connection, jobs: Sequence[JobId], now_ms: int, why: Failure | None
) -> list[CancelResult]:
    text = failure_text(why) if why is not None else None
    rows = connection.execute(QUERIES["cancel"], (json.dumps(jobs), now_ms, text)).fetchall()
    results = {
        job: CancelResult(cancelled=Cancelled.DONE)
        if state == JobState.CANCELLED
        else CancelResult(
            cancelled=Cancelled.STOPPING,
            placed=Placed(job, epoch) if session is not None else None,
            session=session,
        )
        for job, state, epoch, session in rows
    }
    rest = [job for job in jobs if job not in results]
    known = {row[0] for row in standing(connection, rest)} if rest else set()
    for job in rest:
        results[job] = CancelResult(cancelled=Cancelled.ALREADY if job in known else Cancelled.UNKNOWN)
    return [results[job] for job in jobs]


def change(
    connection: sqlite3.Connection, calls: Sequence[tuple[str, Sequence[JobId], int | None]]
) -> list[list[Changed]]:
    """Pauses, resumes or revives jobs; the first of a call is the statement's name."""
    return [_change(connection, *call) for call in calls]


def _change(
    connection: sqlite3.Connection, statement: str, jobs: Sequence[JobId], now_ms: int | None
) -> list[Changed]:
    values = (json.dumps(jobs),) if now_ms is None else (json.dumps(jobs), now_ms)
    results: dict[JobId, Changed] = {}
    for job, state, epoch, session in connection.execute(QUERIES[statement], values).fetchall():
        if state == JobState.PAUSING:
            results[job] = Changed(change=Change.STOPPING, placed=Placed(job, epoch), session=session)
        else:
            results[job] = Changed(change=Change.DONE)
    rest = [job for job in jobs if job not in results]
    states = {job: state for job, _, state, _ in standing(connection, rest)} if rest else {}
    for job in rest:
        state = states.get(job)
        if state is None:
            results[job] = Changed(change=Change.UNKNOWN)
        else:
            there = JobState(state) in _REACHED[statement]
            results[job] = Changed(change=Change.ALREADY if there else Change.REFUSED)
    return [results[job] for job in jobs]


def delete(connection: sqlite3.Connection, calls: Sequence[Sequence[JobId]]) -> list[list[Changed]]:
    """Removes jobs that have ended."""
    return [_delete(connection, jobs) for jobs in calls]


def _delete(connection: sqlite3.Connection, jobs: Sequence[JobId]) -> list[Changed]:
    asked = json.dumps(jobs)
    deletable = {job for (job,) in connection.execute(QUERIES["deletable"], (asked,))}
    known = {row[0] for row in standing(connection, jobs)}
    ids = json.dumps(sorted(deletable))
    for statement in (
        "delete_journals",
        "delete_terms",
        "delete_dependencies",
        "delete_mail",
        "delete_promises",
        "delete_artifacts",
        "delete_jobs",
    ):
        connection.execute(QUERIES[statement], (ids,))
    return [
        Changed(
            change=Change.DONE if job in deletable else Change.REFUSED if job in known else Change.UNKNOWN
        )
        for job in jobs
    ]


def settle(connection: sqlite3.Connection, calls: Sequence[tuple[Sequence[JobId], int]]) -> list[Settled]:
    """Looks at the jobs that wait for those that ended."""
    return [_settle(connection, *call) for call in calls]


def _settle(connection: sqlite3.Connection, ended: Sequence[JobId], now_ms: int) -> Settled:
    became: dict[JobState, list[JobId]] = {}
    lanes: dict[int, Lane] = {}
    text = failure_text(UNMET)
    while ended:
        rows = connection.execute(QUERIES["settle"], (json.dumps(ended), now_ms, text)).fetchall()
        lanes |= lanes_of(row for row in rows if row[-1] == JobState.PENDING)
        for *_, job, state in sorted(rows, key=itemgetter(-2)):
            became.setdefault(JobState(state), []).append(job)
        # What was cancelled has ended, too.
        ended = [job for *_, job, state in rows if state == JobState.CANCELLED]
    return Settled(
        lanes=lanes,
        pending=tuple(became.get(JobState.PENDING, ())),
        scheduled=tuple(became.get(JobState.SCHEDULED, ())),
        cancelled=tuple(became.get(JobState.CANCELLED, ())),
    )


def expire(connection: sqlite3.Connection, calls: Sequence[tuple[int, int]]) -> list[list[JobId]]:
    """Fails jobs that no worker took in time."""
    return [_fail(connection, "expire", EXPIRED, *call) for call in calls]


def overdue(connection: sqlite3.Connection, calls: Sequence[tuple[int, int]]) -> list[list[JobId]]:
    """Fails jobs that have not ended in time."""
    return [_fail(connection, "overdue", OVERDUE, *call) for call in calls]


def _fail(
    connection: sqlite3.Connection, statement: str, why: Failure, now_ms: int, limit: int
) -> list[JobId]:
    failed = connection.execute(QUERIES[statement], (now_ms, limit, failure_text(why))).fetchall()
    return sorted(job for (job,) in failed)

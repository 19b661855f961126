"""Carrying out forks, step by step. In the writer's thread."""

import sqlite3
from collections.abc import Sequence
from typing import Final, NamedTuple

from mvm_ci.adapters.sql.job_writes import standing
from mvm_ci.adapters.sql.queries import QUERIES, Row, execute_rows
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.segment import Prefix

SLICE: Final = 4
"""Segments of one commit: at most 1 MiB; others wait no longer than for these."""


class Slice(NamedTuple):
    """The next segments for ``job``, from entry ``at`` on."""

    job: JobId
    prefix: Prefix
    at: int


class Fork(NamedTuple):
    """``job``: all its values; ``terms``: of its search; ``inputs`` and ``artifacts`` as rows, likewise."""

    job: Row
    terms: Sequence[Row]
    inputs: Sequence[Row]
    artifacts: Sequence[Row]
    prefix: Prefix


def copy(connection: sqlite3.Connection, calls: Sequence[Slice]) -> list[int | None]:
    """Copies segments; where each goes on, None if there are no more."""
    return [_copy(connection, *call) for call in calls]


def _copy(connection: sqlite3.Connection, job: JobId, prefix: Prefix, at: int) -> int | None:
    if standing(connection, [job]):
        return None  # a repetition
    connection.execute(QUERIES["note_fork"], (_key(job), str(job)))
    values = (job, prefix.job, prefix.attempt, at, prefix.end, SLICE)
    ends = [end for (end,) in connection.execute(QUERIES["fork_slice"], values).fetchall()]
    return max(ends) if len(ends) == SLICE else None


def fork(connection: sqlite3.Connection, calls: Sequence[Fork]) -> list[bool]:
    """Makes jobs of what was copied; whether they are there."""
    return [_fork(connection, call) for call in calls]


def _fork(connection: sqlite3.Connection, call: Fork) -> bool:
    job, prefix = call.job, call.prefix
    new = job[0]
    for segment in prefix.others:
        values = (new, segment.first, segment.count, bytearray(segment.data))
        connection.execute(QUERIES["fork_segment"], values)
    connection.execute(QUERIES["fork_job"], (*job, prefix.length, prefix.job, prefix.attempt))
    for term in call.terms:
        connection.execute(QUERIES["fork_term"], term)
    for artifact in call.artifacts:
        connection.execute(QUERIES["fork_artifact"], artifact)
    drop(connection, [new])
    there = bool(standing(connection, [new]))
    if there and call.inputs:
        execute_rows(connection, "insert_inputs", call.inputs)
    return there


def drop(connection: sqlite3.Connection, jobs: Sequence[JobId]) -> list[None]:
    """Removes what was copied for jobs that are not there."""
    for job in jobs:
        connection.execute(QUERIES["drop_unforked"], (job,))
        connection.execute(QUERIES["forget_fork"], (_key(job),))
    return [None] * len(jobs)


def drop_left(connection: sqlite3.Connection) -> None:
    """Removes what a crash left of forks."""
    drop(connection, [JobId(int(job)) for (job,) in connection.execute(QUERIES["noted_forks"]).fetchall()])


def _key(job: JobId) -> str:
    return f"fork:{job}"

"""Carrying out forks. In the writer's thread."""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from mvm_ci.adapters.sql.job_writes import standing
from mvm_ci.adapters.sql.queries import QUERIES, Row
from mvm_ci.ports.job_queue import Prefix


class Fork(NamedTuple):
    """``job``: its 21 values; ``terms``: of its search."""

    job: Row
    terms: Sequence[Row]
    prefix: Prefix


def fork(connection: sqlite3.Connection, calls: Sequence[Fork]) -> list[bool]:
    """Inserts jobs with the beginnings of other jobs' journals."""
    return [_fork(connection, *call) for call in calls]


def _fork(connection: sqlite3.Connection, job: Row, terms: Sequence[Row], prefix: Prefix) -> bool:
    new = job[0]
    connection.execute(QUERIES["fork_journal"], (new, prefix.job, prefix.attempt, prefix.begin, prefix.end))
    for segment in prefix.others:
        values = (new, segment.first, segment.count, bytearray(segment.data))
        connection.execute(QUERIES["fork_segment"], values)
    connection.execute(QUERIES["fork_job"], (*job, prefix.length))
    for term in terms:
        connection.execute(QUERIES["fork_term"], term)
    connection.execute(QUERIES["drop_unforked"], (new,))
    return bool(standing(connection, [new]))

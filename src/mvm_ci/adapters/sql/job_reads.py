"""Reading jobs. In the readers' threads."""

import heapq
import json
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from mvm_ci.adapters.sql import rows
from mvm_ci.adapters.sql.queries import QUERIES
from mvm_ci.domain.ids import JobId, SessionId
from mvm_ci.domain.job import Job, JobState, Placed
from mvm_ci.domain.lane import Lane, has_begun
from mvm_ci.domain.options import Dependency, Needs
from mvm_ci.ports.job_queue import Holder, JobFilter, Keyed, Segment

_LAST_ID: Final = (1 << 63) - 1
_PAGE: Final = 1_000
_BY_SESSION: Final = frozenset({JobState.CLAIMED, JobState.IN_PROGRESS})
"""States whose jobs are found by their session's index."""


def held(session: SessionId, connection: sqlite3.Connection) -> list[Placed]:
    """The placements of a session."""
    return [Placed(*row) for row in connection.execute(QUERIES["held"], (session,))]


def earliest(statement: str, connection: sqlite3.Connection) -> int | None:
    """The first of some times."""
    row: tuple[int] | None = connection.execute(QUERIES[statement]).fetchone()
    return None if row is None else row[0]


def deadlines(connection: sqlite3.Connection) -> dict[JobId, int]:
    """Jobs that have not ended and have a deadline."""
    return dict(connection.execute(QUERIES["deadlines"]).fetchall())


def oldest_ready(connection: sqlite3.Connection) -> JobId | None:
    """The first pending job."""
    found = earliest("oldest_ready", connection)
    return None if found is None else JobId(found)


def number(statement: str, values: tuple[Any, ...], connection: sqlite3.Connection) -> int:
    """What a statement counts."""
    row: tuple[int] = connection.execute(QUERIES[statement], values).fetchone()
    return row[0]


def get(jobs: tuple[JobId, ...], connection: sqlite3.Connection) -> list[Job | None]:
    """Whole jobs."""
    found = map(rows.job, connection.execute(QUERIES["get"], (json.dumps(jobs),)))
    by_id = {job.id: job for job in found}
    return [by_id.get(job) for job in jobs]


def dependencies(job: JobId, connection: sqlite3.Connection) -> list[Dependency]:
    """What a job waits for, or waited."""
    found = connection.execute(QUERIES["dependencies"], (json.dumps([job]),))
    return [Dependency(upstream, Needs.SUCCESS if success else Needs.END) for _, upstream, success in found]


def listing(which: JobFilter, limit: int, connection: sqlite3.Connection) -> list[Job]:
    """Jobs, newest first."""
    first, last = which.after or 0, _LAST_ID if which.before is None else which.before - 1
    if which.namespace is None:
        return _filtered(connection, which, "list", (first, last), (), limit)
    if which.terms:
        values = (which.namespace, which.terms[0])
        return _filtered(connection, which, "list_term", (first, last), values, limit)
    # Each state has its index: as many as asked for from each, then the newest of them all.
    found: list[rows.Row] = []
    for state in sorted(set(which.states)) or JobState:
        name = "list_placed" if state in _BY_SESSION else "list_state"
        asked = (which.namespace, which.queue, which.module, which.name, int(state))
        found += connection.execute(QUERIES[name], (first, last, limit, *asked))
    return [rows.job(row) for row in heapq.nlargest(limit, found, key=lambda row: row[0])]


def _filtered(
    connection: sqlite3.Connection,
    which: JobFilter,
    statement: str,
    ids: tuple[int, int],
    values: tuple[Any, ...],
    limit: int,
) -> list[Job]:
    """Where no index holds just what is asked for: pages, until enough is found."""
    first, last = ids
    found: list[Job] = []
    size = min(limit, _PAGE)  # enough where everything is asked for
    while True:
        page = connection.execute(QUERIES[statement], (first, last, size, *values)).fetchall()
        jobs = sorted(map(rows.job, page), key=lambda job: -job.id)
        found += [job for job in jobs if which.selects(job)]
        if len(page) < size or len(found) >= limit:
            return found[:limit]
        last, size = jobs[-1].id - 1, _PAGE


def counts(namespace: str | None, connection: sqlite3.Connection) -> dict[JobState, int]:
    """Jobs by state."""
    found: dict[JobState, int] = {}
    for of, state, count in connection.execute(QUERIES["counts"]):
        if namespace is None or of == namespace:
            found[JobState(state)] = found.get(JobState(state), 0) + count
    return found


def ready_lanes(connection: sqlite3.Connection) -> dict[int, Lane]:
    """Lanes with pending jobs."""
    return rows.lanes_of(connection.execute(QUERIES["ready_lanes"]))


def upstreams(connection: sqlite3.Connection) -> list[JobId]:
    """Jobs for which others wait."""
    return [job for (job,) in connection.execute(QUERIES["upstreams"])]


def holders(connection: sqlite3.Connection) -> list[Holder]:
    """Jobs that count in limits."""
    return [
        Holder(
            job=job,
            lane=rows.lane_of(*lane),
            begun=has_begun(lane_id),
            placed=None if epoch is None else Placed(job, epoch),
        )
        for job, lane_id, *lane, epoch in connection.execute(QUERIES["holders"])
    ]


def with_key(namespace: str, key: str, connection: sqlite3.Connection) -> list[JobId]:
    """Jobs of a concurrency key."""
    return [job for (job,) in connection.execute(QUERIES["with_key"], (namespace, key))]


def keyed(namespace: str, keys: Sequence[str], connection: sqlite3.Connection) -> dict[str, Keyed]:
    """Jobs of idempotency keys."""
    found = connection.execute(QUERIES["keyed"], (namespace, json.dumps(keys)))
    return {key: Keyed(job=job, request=request) for key, job, request in found}


def journal(page: tuple[int, int, int, int], connection: sqlite3.Connection) -> list[Segment]:
    """Segments of a journal."""
    return [Segment(*row) for row in connection.execute(QUERIES["journal"], page)]

"""Carrying out the writes to jobs, but for the ends of their placements. In the writer's thread."""

import itertools
import json
import sqlite3
from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

from mvm_ci.adapters.sql import levels
from mvm_ci.adapters.sql.queries import QUERIES, Row, execute_rows
from mvm_ci.adapters.sql.rows import PLAIN, claimed_job, lanes_of
from mvm_ci.domain.ids import JobId, SessionId
from mvm_ci.domain.job import PLACED, ClaimedJob, JobState, Placed
from mvm_ci.domain.level import Level
from mvm_ci.ports.job_queue import Rescued, Woken

_PLACED = frozenset(int(state) for state in PLACED)
StartRow = tuple[JobId, int, int]
"""A job, the epoch of its placement, the time of its start."""


class NewRows(NamedTuple):
    """Jobs as rows, what the placed ones leave of rates, and the artifacts that they are given."""

    jobs: Sequence[Row]
    terms: Sequence[Row]
    dependencies: Sequence[Row]
    levels: Sequence[Level] = ()
    inputs: Sequence[Row] = ()


ClaimCall = tuple[SessionId, int, int, Level | None]
"""A session, a lane, the most jobs, what so many leave of a rate."""
RescueCall = tuple[SessionId, int, int, Sequence[Placed]]
"""A session, the time, the most losses a job may have, the placements to keep."""


def submit(connection: sqlite3.Connection, calls: Sequence[NewRows]) -> list[None]:
    """Inserts jobs, given as rows. One that is there already is left as it is, all that belongs to it too."""
    few_have = any(call.terms or call.dependencies or call.inputs for call in calls)
    fresh = _fresh(connection, calls) if few_have else calls
    rows = [row for call in calls for row in call.jobs]
    execute_rows(connection, "submit_plain", [row for row in rows if len(row) == PLAIN])
    execute_rows(connection, "submit", [row for row in rows if len(row) != PLAIN])
    execute_rows(connection, "insert_terms", [row for call in fresh for row in call.terms])
    execute_rows(connection, "insert_dependencies", [row for call in fresh for row in call.dependencies])
    if inputs := [row for call in fresh for row in call.inputs]:
        execute_rows(connection, "insert_inputs", inputs)
    if left := [level for call in calls for level in call.levels]:
        levels.note(connection, left)
    return [None] * len(calls)


def _fresh(connection: sqlite3.Connection, calls: Sequence[NewRows]) -> list[NewRows]:
    """The calls, without what belongs to jobs that are there or in an earlier call already."""
    known = {job for job, *_ in standing(connection, [row[0] for call in calls for row in call.jobs])}
    fresh = []
    for call in calls:
        terms = [row for row in call.terms if row[2] not in known]
        dependencies = [row for row in call.dependencies if row[0] not in known]
        inputs = [row for row in call.inputs if row[0] not in known]
        fresh.append(NewRows(call.jobs, terms, dependencies, (), inputs))
        known |= {row[0] for row in call.jobs}
    return fresh


def claim(connection: sqlite3.Connection, calls: Sequence[ClaimCall]) -> list[list[ClaimedJob]]:
    """Places pending jobs on sessions."""
    return [_claim(connection, *call) for call in calls]


def _claim(
    connection: sqlite3.Connection, session: SessionId, lane: int, limit: int, level: Level | None
) -> list[ClaimedJob]:
    rows = connection.execute(QUERIES["claim"], (session, limit, lane)).fetchall()
    if level is not None and rows:
        levels.note(connection, [level.unused(limit - len(rows))])
    # The order of returned rows is not promised.
    return sorted(map(claimed_job, rows), key=attrgetter("id"))


def start(connection: sqlite3.Connection, calls: Sequence[Sequence[StartRow]]) -> list[list[bool]]:
    """Records that guests run."""
    # The first of several reports of one start gives its time.
    first: dict[tuple[JobId, int], StartRow] = {}
    for row in itertools.chain.from_iterable(calls):
        first.setdefault(row[:2], row)
    rows = list(first.values())
    if execute_rows(connection, "start", rows) == len(rows):
        return [[True] * len(call) for call in calls]
    epochs = {
        job: epoch
        for job, epoch, state, _ in standing(connection, [row[0] for row in rows])
        if state in _PLACED
    }
    return [[epochs.get(job) == epoch for job, epoch, _ in call] for call in calls]


def standing(
    connection: sqlite3.Connection, jobs: Sequence[JobId]
) -> list[tuple[JobId, int, int, int | None]]:
    """Id, epoch, state and last report of those jobs that exist."""
    return connection.execute(QUERIES["standing"], (json.dumps(jobs),)).fetchall()


def rescue(connection: sqlite3.Connection, calls: Sequence[RescueCall]) -> list[Rescued]:
    """Takes the jobs of sessions that ended from them."""
    return [_rescue(connection, *call) for call in calls]


def _rescue(
    connection: sqlite3.Connection, session: SessionId, now_ms: int, max_losses: int, keep: Sequence[Placed]
) -> Rescued:
    kept = json.dumps([(placed.job, placed.epoch) for placed in keep])
    rows = sorted(connection.execute(QUERIES["rescue"], (session, now_ms, max_losses, kept)).fetchall())
    became: dict[JobState, list[JobId]] = {}
    for job, _, state in rows:
        became.setdefault(JobState(state), []).append(job)
    return Rescued(
        placed=tuple(Placed(job, epoch) for job, epoch, _ in rows),
        pending=tuple(became.get(JobState.PENDING, ())),
        dead=tuple(became.get(JobState.DEAD, ())),
        cancelled=tuple(became.get(JobState.CANCELLED, ())),
        paused=tuple(became.get(JobState.PAUSED, ())),
    )


def wake(connection: sqlite3.Connection, calls: Sequence[tuple[int, int]]) -> list[Woken]:
    """Makes jobs pending whose time has come."""
    return [_wake(connection, *call) for call in calls]


def _wake(connection: sqlite3.Connection, now_ms: int, limit: int) -> Woken:
    found = connection.execute(QUERIES["wake"], (now_ms, limit)).fetchall()
    return Woken(jobs=len(found), lanes=lanes_of(found))

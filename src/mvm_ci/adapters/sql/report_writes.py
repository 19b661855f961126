"""Carrying out the ends of placements and the appends to their journals. In the writer's thread.

Many rows go through one statement, and a statement sees each job once. So a batch is cut into *rounds* in
which no job occurs twice; within a round, the order of statements makes no difference.
"""

import itertools
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeVar, assert_never

from mvm_ci.adapters.sql.job_writes import standing
from mvm_ci.adapters.sql.queries import QUERIES, Row, execute_rows
from mvm_ci.adapters.sql.rows import failure_text, fingerprint, payload_columns, topics_text
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import PLACED, Event, Placed
from mvm_ci.domain.outcome import (
    Completed,
    Continued,
    Failed,
    Outcome,
    Parked,
    Released,
    Stopped,
    Suspended,
)
from mvm_ci.ports.job_queue import Append, Report, Segment

T = TypeVar("T")
RowOfJob = TypeVar("RowOfJob", "End", "Added")
_PLACED: Final = frozenset(int(state) for state in PLACED)
_COMPLETE: Final = Event.COMPLETE
"""Looked up once: a member of an enumeration costs Python a call each time."""


class End(NamedTuple):
    """A report as rows. ``row`` begins with job, epoch, first, entries and the report's fingerprint."""

    job: JobId
    statement: str
    row: Row
    tail: "Added | None"


class Added(NamedTuple):
    """A segment as a row, for ``insert_segments``, and the mail that it takes."""

    job: JobId
    epoch: int
    first: int
    entries: int
    data: bytearray
    taken: tuple[int, ...]


def end(report: Report, now_ms: int) -> End:
    """A report as rows."""
    placed, tail = report.placed, report.tail
    event, values = _event(report.outcome, report.retry_ms)
    first, entries = (-1, 0) if tail is None else (tail.first, tail.count)
    row = (placed.job, placed.epoch, first, entries, fingerprint(report), now_ms, *values)
    return End(placed.job, event, row, None if tail is None else added(placed, tail))


def _event(outcome: Outcome, retry_ms: int | None) -> tuple[str, Row]:
    """The statement that carries an outcome out, and the further values that it takes."""
    event: str
    values: Row
    match outcome:
        case Completed(result):
            data, size = payload_columns(result)
            event, values = _COMPLETE, (data, -1 if size is None else size)
        case Failed(failure) if retry_ms is None:
            event, values = Event.FAIL, (failure_text(failure),)
        case Failed(failure):
            event, values = Event.RETRY, (failure_text(failure), retry_ms)
        case Suspended(wake_ms, topics) if topics:
            event, values = "suspend_for_mail", (wake_ms, topics_text(topics))
        case Suspended(wake_ms):
            event, values = Event.SUSPEND, (wake_ms,)
        case Continued(given):
            data, size = payload_columns(given)
            event, values = Event.CONTINUE, (data, -1 if size is None else size)
        case Parked(failure):
            event, values = Event.PARK, (failure_text(failure),)
        case Released():
            event, values = Event.RELEASE, ()
        case Stopped():
            event, values = Event.STOPPED, ()
        case _:
            assert_never(outcome)
    return event, values


def added(placed: Placed, segment: Segment) -> Added:
    """A segment as a row."""
    return Added(
        placed.job, placed.epoch, segment.first, segment.count, bytearray(segment.data), segment.taken
    )


def report(connection: sqlite3.Connection, calls: Sequence[Sequence[End]]) -> list[list[bool]]:
    """Ends placements."""
    answers: list[bool] = []
    for ends in _rounds(itertools.chain.from_iterable(calls)):
        answers += _report_round(connection, ends)
    return _by_call(answers, calls)


def _report_round(connection: sqlite3.Connection, ends: Sequence[End]) -> list[bool]:
    rows: dict[str, list[Row]] = {}
    tails: dict[str, list[Added]] = {}
    for _, statement, row, tail in ends:
        rows.setdefault(statement, []).append(row)
        if tail is not None:
            insert = "insert_last_segments" if statement == Event.STOPPED else "insert_segments"
            tails.setdefault(insert, []).append(tail)
    for insert, segments in tails.items():
        _insert(connection, insert, segments)
    changed = sum([execute_rows(connection, statement, rows[statement]) for statement in rows])
    if Event.CONTINUE in rows:
        execute_rows(connection, "trim_journals", [row[:1] for row in rows[Event.CONTINUE]])
    if changed == len(ends):
        return [True] * len(ends)
    # Took effect, now or before: the job's present placement was ended by exactly this report.
    ended = {
        job: (epoch, reported) for job, epoch, _, reported in standing(connection, [end.job for end in ends])
    }
    return [ended.get(end.job) == (end.row[1], end.row[4]) for end in ends]


def append(connection: sqlite3.Connection, calls: Sequence[Sequence[Added]]) -> list[list[Append]]:
    """Appends segments to journals."""
    answers: list[Append] = []
    for segments in _rounds(itertools.chain.from_iterable(calls)):
        answers += _append_round(connection, segments)
    return _by_call(answers, calls)


def _append_round(connection: sqlite3.Connection, segments: Sequence[Added]) -> list[Append]:
    _insert(connection, "insert_segments", segments)
    counted = execute_rows(connection, "count_segments", [segment[:4] for segment in segments])
    if counted == len(segments):
        return [Append.DONE] * len(segments)
    jobs = standing(connection, [segment.job for segment in segments])
    current = {(job, epoch) for job, epoch, state, _ in jobs if state in _PLACED}
    return [
        _place(connection, segment) if (segment.job, segment.epoch) in current else Append.STALE
        for segment in segments
    ]


def _insert(connection: sqlite3.Connection, statement: str, segments: Sequence[Added]) -> None:
    execute_rows(connection, statement, [segment[:5] for segment in segments])
    for segment in segments:
        if segment.taken:
            connection.execute(QUERIES["take"], (*segment[:3], json.dumps(segment.taken)))


def cut_journal(connection: sqlite3.Connection, calls: Sequence[tuple[JobId, int, int]]) -> list[bool]:
    """Takes back the ends of journals: of these jobs, in these epochs, from these entries on."""
    return [_cut_journal(connection, call) for call in calls]


def _cut_journal(connection: sqlite3.Connection, cut: tuple[JobId, int, int]) -> bool:
    for statement in ("cut_journal", "shorten_journal"):
        connection.execute(QUERIES[statement], cut)
    job, epoch, _ = cut
    return any(row[1] == epoch and row[2] in _PLACED for row in standing(connection, [job]))


def _place(connection: sqlite3.Connection, segment: Added) -> Append:
    """What became of a current placement's segment: it is there (now or from before), or it did not fit."""
    found = connection.execute(QUERIES["holds_segment"], segment[:5]).fetchone()
    return Append.DONE if found else Append.GAP


def _rounds(rows: Iterable[RowOfJob]) -> Iterator[list[RowOfJob]]:
    """Cuts rows, in order, into lists in which no job occurs twice."""
    jobs: set[JobId] = set()
    current: list[RowOfJob] = []
    for row in rows:
        if row.job in jobs:
            yield current
            jobs, current = set(), []
        jobs.add(row.job)
        current.append(row)
    if current:
        yield current


def _by_call(answers: list[T], calls: Sequence[Sequence[object]]) -> list[list[T]]:
    remaining = iter(answers)
    return [list(itertools.islice(remaining, len(call))) for call in calls]

"""The SQL of the stores: named statements in ``.sql`` files, loaded once.

Marks are filled in when a file is loaded, so that SQL cannot disagree with the domain: ``{PENDING}`` is
the stored number of a state, ``{from start}`` the list of states in which an event is legal,
``{after cancel}`` an expression for the state that follows, ``{COLUMNS}`` those of a whole job,
``{CLEANS_UP}`` whether a job at no worker has a guest that is to clean up before it is cancelled. One more,
``/* rows */``, stands before the one row of parameters of a statement that can take many.
"""

import itertools
import re
import sqlite3
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Final, TypeAlias

from mvm_ci.domain.job import TRANSITIONS, Event, JobState, sources

Row: TypeAlias = Sequence[Any]

_FILES: Final = (
    "jobs.sql",
    "lists.sql",
    "changes.sql",
    "reports.sql",
    "forks.sql",
    "registry.sql",
    "catalogue.sql",
    "access.sql",
    "restore.sql",
    "retention.sql",
    "schedules.sql",
    "events.sql",
    "rates.sql",
    "mail.sql",
    "secrets.sql",
    "artifacts.sql",
    "probe.sql",
)
_COLUMNS: Final = (
    "jobs.id, jobs.state, created_ms, attempt, epoch, session, losses, journal_length, started_ms, "
    "finished_ms, wake_ms, expires_ms, jobs.namespace, queue, priority, idempotency, request, tags, "
    "metadata, module, name, options, input, input_size, result, result_size, failure, jobs.parent, "
    "parent_attempt, first_attempt, awaits, progress, deadline_ms"
)
"""What ``rows.job`` reads."""
_WORDS: Final = {
    "COLUMNS": _COLUMNS,
    "CLEANS_UP": f"(state IN ({int(JobState.SUSPENDED)}, {int(JobState.PENDING)}) AND journal_length > 0 "
    "AND awaits IS NOT '[\"cancel\"]' AND json_extract(options, '$[8]') > 0)",
}
_NAME: Final = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_MARK: Final = re.compile(r"\{(?:(from|after) )?(\w+)\}")
_COMMENT_LINE: Final = re.compile(r"^--.*\n?", re.MULTILINE)
_ROWS: Final = re.compile(r"/\* rows \*/ (\([^()]*\))")
_LARGEST: Final = 64
"""Rows per statement; more is hardly faster. Rests take powers of two: few statements, all cached."""


def _fill(mark: re.Match[str]) -> str:
    kind, name = mark.groups()
    if name in _WORDS:
        return _WORDS[name]
    if kind is None:
        return str(int(JobState[name]))
    event = Event(name)
    if kind == "from":
        return "(" + ", ".join(str(int(state)) for state in sources(event)) + ")"
    cases = (f"WHEN {int(s)} THEN {int(TRANSITIONS[s][event])}" for s in sources(event))
    return f"CASE jobs.state {' '.join(cases)} END"


def parse(text: str) -> dict[str, str]:
    """The named statements of one file. Raises ``KeyError`` or ``ValueError`` for unknown marks."""
    _, *parts = _NAME.split(text)
    named = zip(parts[::2], parts[1::2], strict=True)
    return {name: _MARK.sub(_fill, _COMMENT_LINE.sub("", body)).strip() for name, body in named}


def read(file: str) -> str:
    """The text of an SQL file beside this module."""
    return resources.files(__package__).joinpath(file).read_text(encoding="utf-8")


def _load() -> dict[str, str]:
    statements: dict[str, str] = {}
    for file in _FILES:
        found = parse(read(file))
        if twice := statements.keys() & found.keys():
            raise ValueError(f"{file} names {', '.join(sorted(twice))} again")
        statements |= found
    return statements


QUERIES: Final[Mapping[str, str]] = _load()


@cache
def for_rows(name: str, count: int) -> str:
    """The statement ``name`` for ``count`` rows at once."""
    mark = _ROWS.search(QUERIES[name])
    if mark is None:
        raise ValueError(f"{name} takes no rows")
    width = mark[1].count("?")
    numbers = itertools.count(1)
    row_texts = ("(" + ", ".join(f"?{next(numbers)}" for _ in range(width)) + ")" for _ in range(count))
    return _ROWS.sub(", ".join(row_texts), QUERIES[name])


def execute_rows(connection: sqlite3.Connection, name: str, rows: Sequence[Row]) -> int:
    """Executes a statement for all rows, many at a time; returns how many rows of its table it changed."""
    changed, done, size = 0, 0, _LARGEST
    while done < len(rows):
        while size > len(rows) - done:
            size >>= 1
        values = tuple(itertools.chain.from_iterable(rows[done : done + size]))
        connection.execute(for_rows(name, size), values)
        # Of a statement with WITH the cursor does not know; what triggers change does not count.
        changed += connection.execute("SELECT changes()").fetchone()[0]
        done += size
    return changed

"""What is left of the rates of concurrency keys, in SQL. In the writer's thread."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from mvm_ci.adapters.sql.queries import QUERIES, execute_rows
from mvm_ci.domain.level import Level

_ALL: Final = 1 << 62


def note(connection: sqlite3.Connection, levels: Sequence[Level]) -> None:
    """Writes levels, of one key the last one.

    For each of them up to two that are full again go: so there are never many more rows than at the time
    when the most rates were in use.
    """
    rows = list({(level.namespace, level.key): level for level in levels}.values())
    execute_rows(connection, "note_levels", rows)
    now_ms = max(level.at_ms for level in levels)
    connection.execute(QUERIES["forget_full_levels"], (now_ms, 2 * len(rows)))


def levels(connection: sqlite3.Connection, calls: Sequence[int]) -> list[list[Level]]:
    """What is left at these times; all that is full again goes."""
    return [_levels(connection, now_ms) for now_ms in calls]


def _levels(connection: sqlite3.Connection, now_ms: int) -> list[Level]:
    connection.execute(QUERIES["set_levels_back"], (now_ms,))
    connection.execute(QUERIES["forget_full_levels"], (now_ms, _ALL))
    return [Level(*row) for row in connection.execute(QUERIES["levels"])]

"""What is left of the rates of concurrency keys, in SQL."""

import sqlite3
from collections.abc import Sequence

from mvm_ci.adapters.sql.queries import QUERIES, execute_rows
from mvm_ci.domain.level import Level


def note(connection: sqlite3.Connection, levels: Sequence[Level]) -> None:
    """Writes levels, of one key the last one. In the writer's thread.

    For each of them up to two that are full again go: so there are never many more rows than at the time
    when the most rates were in use.
    """
    rows = list({(level.namespace, level.key): level for level in levels}.values())
    execute_rows(connection, "note_levels", rows)
    now_ms = max(level.at_ms for level in levels)
    connection.execute(QUERIES["forget_full_levels"], (now_ms, 2 * len(rows)))


def levels(now_ms: int, connection: sqlite3.Connection) -> list[Level]:
    """Those that are not full again. In a reader's thread."""
    return [Level(*row) for row in connection.execute(QUERIES["levels"], (now_ms,))]

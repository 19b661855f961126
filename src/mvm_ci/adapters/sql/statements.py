"""Named statements that a store carries out one by one."""

import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Any, TypeAlias

from mvm_ci.adapters.sql.queries import QUERIES
from mvm_ci.adapters.sql.reader import Reader
from mvm_ci.adapters.sql.writer import Writer

Row: TypeAlias = tuple[Any, ...]
Statement: TypeAlias = tuple[str, Row]
"""A statement's name and its values."""


class Statements:
    """What such a store is built on."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def _write(self, statement: str, *values: Any) -> int:
        """How many rows it changed."""
        return await self._writer.call(execute, (statement, values))

    async def _read(self, statement: str, *values: Any) -> list[Row]:
        """The rows it found."""
        return await self._reader.read(partial(fetch, statement, values))


def execute(connection: sqlite3.Connection, calls: Sequence[Statement]) -> list[int]:
    """Carries out statements; how many rows each of them changed. In the writer's thread."""
    return [connection.execute(QUERIES[name], values).rowcount for name, values in calls]


def fetch(statement: str, values: Row, connection: sqlite3.Connection) -> list[Row]:
    """The rows that a statement finds. In the thread of ``connection``."""
    return connection.execute(QUERIES[statement], values).fetchall()

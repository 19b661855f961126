"""The event log in SQL: one row a batch."""

import asyncio
import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Final, TypeAlias

from msgspec.structs import astuple

from mvm_ci.adapters.sql.queries import QUERIES
from mvm_ci.adapters.sql.reader import Reader
from mvm_ci.adapters.sql.writer import Writer
from mvm_ci.domain.events import EventBatch

_EVERYTHING: Final = (1 << 62) - 1
TrimCall: TypeAlias = tuple[int, int, int]


class SqlEventLog:
    """An ``EventLog``."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    def append(self, batch: EventBatch, *, at_once: bool) -> asyncio.Future[None]:
        enter = self._writer.call if at_once else self._writer.shared
        return enter(_append, batch)

    def read(self, after: int, limit: int) -> asyncio.Future[list[EventBatch]]:
        return self._reader.read(partial(_read, after, limit))

    def last(self) -> asyncio.Future[int]:
        return self._reader.read(_last)

    def trim(self, before_ms: int, keep: int | None, limit: int) -> asyncio.Future[tuple[int, int]]:
        return self._writer.call(_trim, (before_ms, _EVERYTHING if keep is None else keep, limit))


def _append(connection: sqlite3.Connection, batches: Sequence[EventBatch]) -> Sequence[None]:
    connection.executemany(QUERIES["append_events"], [astuple(batch) for batch in batches])
    return [None] * len(batches)


def _read(after: int, limit: int, connection: sqlite3.Connection) -> list[EventBatch]:
    return [EventBatch(*row) for row in connection.execute(QUERIES["read_events"], (after, limit))]


def _last(connection: sqlite3.Connection) -> int:
    row: tuple[int] | None = connection.execute(QUERIES["last_event"]).fetchone()
    return 0 if row is None else row[0]


def _trim(connection: sqlite3.Connection, calls: Sequence[TrimCall]) -> list[tuple[int, int]]:
    counts = [[count for (count,) in connection.execute(QUERIES["trim_events"], call)] for call in calls]
    return [(len(found), sum(found)) for found in counts]

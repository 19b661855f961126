"""Paused queues in SQL."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from mvm_ci.adapters.sql.queries import QUERIES
from mvm_ci.adapters.sql.reader import Reader
from mvm_ci.adapters.sql.writer import Writer


class SqlQueues:
    """``Queues``."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def pause(self, namespace: str, queue: str, now_ms: int) -> bool:
        return await self._writer.call(_execute, ("pause_queue", (namespace, queue, now_ms)))

    async def resume(self, namespace: str, queue: str) -> bool:
        return await self._writer.call(_execute, ("resume_queue", (namespace, queue)))

    async def paused(self) -> list[tuple[str, str]]:
        return await self._reader.read(_paused)


def _execute(connection: sqlite3.Connection, calls: Sequence[tuple[str, tuple[Any, ...]]]) -> list[bool]:
    return [connection.execute(QUERIES[name], values).rowcount == 1 for name, values in calls]


def _paused(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return list(connection.execute(QUERIES["paused_queues"]))

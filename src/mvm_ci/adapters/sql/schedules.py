"""The schedules in SQL."""

import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import msgspec

from mvm_ci.adapters.sql.queries import QUERIES
from mvm_ci.adapters.sql.reader import Reader
from mvm_ci.adapters.sql.writer import Writer
from mvm_ci.domain.schedule import Schedule

Statement: TypeAlias = tuple[str, tuple[Any, ...]]
"""A statement's name and its values."""

_encode: Final = msgspec.json.Encoder().encode
_decoder: Final = msgspec.json.Decoder(Schedule)


class SqlScheduleStore:
    """A ``ScheduleStore``."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def add(self, schedule: Schedule) -> bool:
        return await self._write(
            "add_schedule", schedule.namespace, schedule.name, schedule.due_ms, _data(schedule)
        )

    async def replace(self, schedule: Schedule) -> bool:
        named = (schedule.namespace, schedule.name, schedule.revision)
        return await self._write("replace_schedule", *named, schedule.due_ms, _data(schedule))

    async def remove(self, namespace: str, name: str) -> bool:
        return await self._write("remove_schedule", namespace, name)

    async def get(self, namespace: str, name: str) -> Schedule | None:
        return next(iter(await self._schedules("schedule", namespace, name)), None)

    async def page(self, namespace: str, after: str = "", limit: int = 100) -> list[Schedule]:
        return await self._schedules("schedules", namespace, after, limit)

    async def due(self, now_ms: int, limit: int) -> list[Schedule]:
        return await self._schedules("schedules_due", now_ms, limit)

    async def next_due(self) -> int | None:
        ((earliest,),) = await self._read("next_schedule")
        return None if earliest is None else int(earliest)

    async def modules(self) -> set[tuple[str, str]]:
        return {(namespace, module) for namespace, module in await self._read("schedules_modules")}

    async def _schedules(self, statement: str, *values: Any) -> list[Schedule]:
        return [_schedule(*row) for row in await self._read(statement, *values)]

    async def _write(self, statement: str, *values: Any) -> bool:
        return await self._writer.call(_execute, (statement, values))

    async def _read(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return await self._reader.read(partial(_fetch, statement, values))


def _execute(connection: sqlite3.Connection, calls: Sequence[Statement]) -> list[bool]:
    return [connection.execute(QUERIES[name], values).rowcount == 1 for name, values in calls]


def _fetch(statement: str, values: tuple[Any, ...], connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return connection.execute(QUERIES[statement], values).fetchall()


def _data(schedule: Schedule) -> str:
    return _encode(schedule).decode()


def _schedule(revision: int, data: str) -> Schedule:
    return msgspec.structs.replace(_decoder.decode(data), revision=revision)

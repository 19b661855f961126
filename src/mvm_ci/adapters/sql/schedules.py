"""The schedules in SQL."""

from typing import Any, Final

import msgspec

from mvm_ci.adapters.sql.statements import Statements
from mvm_ci.domain.schedule import Schedule

_encode: Final = msgspec.json.Encoder().encode
_decoder: Final = msgspec.json.Decoder(Schedule)


class SqlScheduleStore(Statements):
    """A ``ScheduleStore``."""

    async def add(self, schedule: Schedule) -> bool:
        named = (schedule.namespace, schedule.name)
        return await self._write("add_schedule", *named, schedule.due_ms, _data(schedule)) == 1

    async def replace(self, schedule: Schedule) -> bool:
        named = (schedule.namespace, schedule.name, schedule.revision)
        return await self._write("replace_schedule", *named, schedule.due_ms, _data(schedule)) == 1

    async def remove(self, namespace: str, name: str) -> bool:
        return await self._write("remove_schedule", namespace, name) == 1

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


def _data(schedule: Schedule) -> str:
    return _encode(schedule).decode()


def _schedule(revision: int, data: str) -> Schedule:
    return msgspec.structs.replace(_decoder.decode(data), revision=revision)

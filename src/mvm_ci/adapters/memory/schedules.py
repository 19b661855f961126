"""The schedules in memory."""

import msgspec

from mvm_ci.domain.schedule import Schedule


class MemoryScheduleStore:
    """A ``ScheduleStore``."""

    def __init__(self) -> None:
        self._schedules: dict[tuple[str, str], Schedule] = {}

    async def add(self, schedule: Schedule) -> bool:
        key = (schedule.namespace, schedule.name)
        if key in self._schedules:
            return False
        self._schedules[key] = msgspec.structs.replace(schedule, revision=1)
        return True

    async def replace(self, schedule: Schedule) -> bool:
        key = (schedule.namespace, schedule.name)
        stored = self._schedules.get(key)
        if stored is None or stored.revision != schedule.revision:
            return False
        self._schedules[key] = msgspec.structs.replace(schedule, revision=schedule.revision + 1)
        return True

    async def remove(self, namespace: str, name: str) -> bool:
        return self._schedules.pop((namespace, name), None) is not None

    async def get(self, namespace: str, name: str) -> Schedule | None:
        return self._schedules.get((namespace, name))

    async def page(self, namespace: str, after: str = "", limit: int = 100) -> list[Schedule]:
        found = sorted(name for space, name in self._schedules if space == namespace and name > after)
        return [self._schedules[namespace, name] for name in found[:limit]]

    async def due(self, now_ms: int, limit: int) -> list[Schedule]:
        found = sorted(entry for entry in self._due() if entry[0] <= now_ms)
        return [self._schedules[namespace, name] for _, namespace, name in found[:limit]]

    async def next_due(self) -> int | None:
        return min((due_ms for due_ms, _, _ in self._due()), default=None)

    async def modules(self) -> set[tuple[str, str]]:
        return {(one.namespace, msgspec.json.decode(one.job)["module"]) for one in self._schedules.values()}

    def _due(self) -> list[tuple[int, str, str]]:
        schedules = self._schedules.values()
        return [(s.due_ms, s.namespace, s.name) for s in schedules if s.due_ms is not None]

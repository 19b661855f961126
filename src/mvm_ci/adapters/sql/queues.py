"""Paused queues in SQL."""

from mvm_ci.adapters.sql.statements import Statements


class SqlQueues(Statements):
    """``Queues``."""

    async def pause(self, namespace: str, queue: str, now_ms: int) -> bool:
        return await self._write("pause_queue", namespace, queue, now_ms) == 1

    async def resume(self, namespace: str, queue: str) -> bool:
        return await self._write("resume_queue", namespace, queue) == 1

    async def paused(self) -> list[tuple[str, str]]:
        return [(namespace, queue) for namespace, queue in await self._read("paused_queues")]

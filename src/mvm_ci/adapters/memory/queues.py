"""Paused queues in memory."""


class MemoryQueues:
    """``Queues``."""

    def __init__(self) -> None:
        self._paused: set[tuple[str, str]] = set()

    async def pause(self, namespace: str, queue: str, now_ms: int) -> bool:  # noqa: ARG002 - nobody asks when
        new = (namespace, queue) not in self._paused
        self._paused.add((namespace, queue))
        return new

    async def resume(self, namespace: str, queue: str) -> bool:
        was = (namespace, queue) in self._paused
        self._paused.discard((namespace, queue))
        return was

    async def paused(self) -> list[tuple[str, str]]:
        return sorted(self._paused)

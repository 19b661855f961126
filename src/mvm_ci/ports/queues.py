"""Queues: names under which jobs are submitted, and whether they are paused. Writes are durable on return."""

from typing import Protocol


class Queues(Protocol):
    """Errors of the store itself are ``Unavailable``."""

    async def pause(self, namespace: str, queue: str, now_ms: int) -> bool:
        """Nothing of this queue goes to workers from now on. False if it was paused."""
        ...

    async def resume(self, namespace: str, queue: str) -> bool:
        """The queue goes on. False if it was not paused."""
        ...

    async def paused(self) -> list[tuple[str, str]]:
        """Namespace and name of all that are paused, in order."""
        ...

"""The client's methods for queues and limits."""

from mvm_ci.client.calls import Calls, part
from mvm_ci.wire import api


class QueueCalls(Calls):
    """Queues: there is no making one, jobs name them."""

    async def queues(self) -> tuple[api.QueueView, ...]:
        """Those that are paused or have ready jobs."""
        return (await self._get("/v1/queues", api.QueueList)).queues

    async def limits(self) -> api.LimitList:
        """The concurrency keys that are in use or waited for, by name."""
        return await self._get("/v1/limits", api.LimitList)

    async def pause_queue(self, name: str) -> api.QueueView:
        """Nothing of a queue goes to workers any more; what runs goes on."""
        return await self._post(f"/v1/queues/{part(name)}/pause", api.QueueView)

    async def resume_queue(self, name: str) -> api.QueueView:
        """A queue goes on."""
        return await self._post(f"/v1/queues/{part(name)}/resume", api.QueueView)

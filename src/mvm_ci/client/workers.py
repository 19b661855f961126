"""The client's methods for workers and the tokens by which they join."""

from mvm_ci.client.calls import Calls, part
from mvm_ci.wire import api


class WorkerCalls(Calls):
    """Workers and join tokens."""

    async def workers(self, labels: str = "") -> tuple[api.WorkerView, ...]:
        """All workers, or those with ``labels`` (with commas between them)."""
        params = {"label": labels} if labels else {}
        return (await self._get("/v1/workers", api.WorkerList, params=params)).workers

    async def worker(self, worker: str) -> api.WorkerView:
        """One worker, by its id."""
        return await self._get(f"/v1/workers/{part(worker)}", api.WorkerView)

    async def drain_worker(self, worker: str, deadline_s: float | None = None) -> api.WorkerView:
        """Gives a worker nothing more; hands over what it still runs after ``deadline_s``."""
        params = {} if deadline_s is None else {"deadline_s": f"{deadline_s:g}"}
        return await self._post(f"/v1/workers/{part(worker)}/drain", api.WorkerView, params=params)

    async def resume_worker(self, worker: str) -> api.WorkerView:
        """Gives a drained worker jobs again."""
        return await self._post(f"/v1/workers/{part(worker)}/resume", api.WorkerView)

    async def forget_worker(self, worker: str) -> api.WorkerView:
        """Removes a worker that has no session."""
        return self._decode(await self._send("DELETE", f"/v1/workers/{part(worker)}"), api.WorkerView)

    async def revoke_worker(self, worker: str) -> api.WorkerView:
        """Refuses a worker's key from now on, for good."""
        return await self._post(f"/v1/workers/{part(worker)}/revoke", api.WorkerView)

    async def create_join_token(self, uses: int, ttl_s: int, name: str = "") -> api.JoinTokenView:
        """A new join token; the only answer with its secret."""
        body = api.CreateJoinToken(uses=uses, ttl_s=ttl_s, name=name)
        return await self._post("/v1/join-tokens", api.JoinTokenView, body)

    async def remove_join_token(self, token: str) -> api.JoinTokenView:
        """Nobody can join with it any more."""
        return self._decode(await self._send("DELETE", f"/v1/join-tokens/{part(token)}"), api.JoinTokenView)

    async def join_tokens(self) -> tuple[api.JoinTokenView, ...]:
        """All join tokens, without their secrets."""
        return (await self._get("/v1/join-tokens", api.JoinTokenList)).tokens

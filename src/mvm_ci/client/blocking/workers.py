# Made by tests/unit/client/blocking_twin.py of mvm_ci/client/workers.py: change that one.
"""The client's methods for workers and the tokens by which they join."""

from mvm_ci.client.blocking.calls import Calls, part
from mvm_ci.wire import api


class WorkerCalls(Calls):
    """Workers and join tokens."""

    def workers(self, labels: str = "") -> tuple[api.WorkerView, ...]:
        """All workers, or those with ``labels`` (with commas between them)."""
        params = {"label": labels} if labels else {}
        return (self._get("/v1/workers", api.WorkerList, params=params)).workers

    def worker(self, worker: str) -> api.WorkerView:
        """One worker, by its id."""
        return self._get(f"/v1/workers/{part(worker)}", api.WorkerView)

    def drain_worker(self, worker: str, deadline_s: float | None = None) -> api.WorkerView:
        """Gives a worker nothing more; hands over what it still runs after ``deadline_s``."""
        params = {} if deadline_s is None else {"deadline_s": f"{deadline_s:g}"}
        return self._post(f"/v1/workers/{part(worker)}/drain", api.WorkerView, params=params)

    def resume_worker(self, worker: str) -> api.WorkerView:
        """Gives a drained worker jobs again."""
        return self._post(f"/v1/workers/{part(worker)}/resume", api.WorkerView)

    def forget_worker(self, worker: str) -> api.WorkerView:
        """Removes a worker that has no session."""
        return self._decode(self._send("DELETE", f"/v1/workers/{part(worker)}"), api.WorkerView)

    def revoke_worker(self, worker: str) -> api.WorkerView:
        """Refuses a worker's key from now on, for good."""
        return self._post(f"/v1/workers/{part(worker)}/revoke", api.WorkerView)

    def create_join_token(self, uses: int, ttl_s: int, name: str = "") -> api.JoinTokenView:
        """A new join token; the only answer with its secret."""
        body = api.CreateJoinToken(uses=uses, ttl_s=ttl_s, name=name)
        return self._post("/v1/join-tokens", api.JoinTokenView, body)

    def remove_join_token(self, token: str) -> api.JoinTokenView:
        """Nobody can join with it any more."""
        return self._decode(self._send("DELETE", f"/v1/join-tokens/{part(token)}"), api.JoinTokenView)

    def join_tokens(self) -> tuple[api.JoinTokenView, ...]:
        """All join tokens, without their secrets."""
        return (self._get("/v1/join-tokens", api.JoinTokenList)).tokens

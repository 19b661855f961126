# Made by tests/unit/client/blocking_twin.py of mvm_ci/client/workers.py: change that one.
"""The client's methods for workers and the tokens by which they join."""

from mvm_ci.client.blocking.calls import Calls, part
from mvm_ci.wire import api


class WorkerCalls(Calls):
    """Workers and join tokens."""

    def workers(self) -> tuple[api.WorkerView, ...]:
        """All workers."""
        return (self._get("/v1/workers", api.WorkerList)).workers

    def drain_worker(self, worker: str) -> api.WorkerView:
        """Lets a worker finish what it runs and gives it nothing more."""
        return self._post(f"/v1/workers/{part(worker)}/drain", api.WorkerView)

    def revoke_worker(self, worker: str) -> api.WorkerView:
        """Refuses a worker's key from now on, for good."""
        return self._post(f"/v1/workers/{part(worker)}/revoke", api.WorkerView)

    def create_join_token(self, uses: int, ttl_s: int) -> api.JoinTokenView:
        """A new join token; the only answer with its secret."""
        body = api.CreateJoinToken(uses=uses, ttl_s=ttl_s)
        return self._post("/v1/join-tokens", api.JoinTokenView, body)

    def join_tokens(self) -> tuple[api.JoinTokenView, ...]:
        """All join tokens, without their secrets."""
        return (self._get("/v1/join-tokens", api.JoinTokenList)).tokens

"""The registry in memory."""

from msgspec.structs import replace

from mvm_ci.adapters.memory.catalogue import MemoryCatalogue
from mvm_ci.domain.errors import NotFound
from mvm_ci.domain.ids import SessionId, WorkerId
from mvm_ci.ports.registry import Join, JoinToken, Worker, WorkerState


class MemoryRegistry(MemoryCatalogue):
    """A ``Registry``."""

    def __init__(self) -> None:
        super().__init__()
        self._join_tokens: dict[str, JoinToken] = {}
        self._workers: dict[WorkerId, Worker] = {}
        self._revoked_keys: set[WorkerId] = set()

    async def put_join_token(self, token: JoinToken) -> None:
        self._join_tokens.setdefault(token.id, token)

    async def join_tokens(self) -> list[JoinToken]:
        return [self._join_tokens[token_id] for token_id in sorted(self._join_tokens)]

    async def remove_join_token(self, token_id: str) -> bool:
        return self._join_tokens.pop(token_id, None) is not None

    async def join(self, token_digest: str, worker: Worker, now_ms: int) -> Join:
        known = self._workers.get(worker.id)
        if known is not None:
            return Join.REVOKED if known.state is WorkerState.REVOKED else Join.DONE
        if worker.id in self._revoked_keys:
            return Join.REVOKED
        token = next((t for t in self._join_tokens.values() if t.digest == token_digest), None)
        if token is None:
            return Join.UNKNOWN
        if token.expires_ms <= now_ms:
            return Join.EXPIRED
        if token.uses_left < 1:
            return Join.USED_UP
        self._join_tokens[token.id] = replace(token, uses_left=token.uses_left - 1)
        self._workers[worker.id] = worker
        return Join.DONE

    async def open_session(self, worker: Worker, now_ms: int) -> None:
        known = self._workers.get(worker.id)
        if known is None:
            raise NotFound(f"worker {worker.id} never joined")
        self._workers[worker.id] = replace(
            worker,
            state=known.state,
            joined_ms=known.joined_ms,
            session_open=True,
            seen_ms=now_ms,
            drain_by_ms=known.drain_by_ms,
        )

    async def close_session(self, worker: WorkerId, session: SessionId, now_ms: int) -> None:
        known = self._workers.get(worker)
        if known is not None and known.session == session:
            self._workers[worker] = replace(known, session_open=False, seen_ms=now_ms)

    async def set_worker_state(
        self, worker: WorkerId, state: WorkerState, drain_by_ms: int | None = None
    ) -> bool:
        known = self._workers.get(worker)
        if known is None or (known.state is WorkerState.REVOKED and state is not WorkerState.REVOKED):
            return False
        self._workers[worker] = replace(known, state=state, drain_by_ms=drain_by_ms)
        return True

    async def forget_worker(self, worker: WorkerId) -> bool:
        known = self._workers.get(worker)
        if known is None or known.session_open:
            return False
        if known.state is WorkerState.REVOKED:
            self._revoked_keys.add(worker)
        del self._workers[worker]
        return True

    async def worker(self, worker: WorkerId) -> Worker | None:
        return self._workers.get(worker)

    async def workers(self) -> list[Worker]:
        return [self._workers[worker] for worker in sorted(self._workers)]

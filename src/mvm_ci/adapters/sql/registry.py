"""The registry in SQL."""

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from mvm_ci.adapters.sql.catalogue import SqlCatalogue
from mvm_ci.adapters.sql.queries import QUERIES
from mvm_ci.adapters.sql.statements import fetch
from mvm_ci.domain.errors import NotFound
from mvm_ci.domain.grant import PeerRole
from mvm_ci.domain.ids import SessionId, WorkerId
from mvm_ci.ports.registry import Join, JoinToken, Worker, WorkerState

JoinCall: TypeAlias = tuple[str, Worker, int]
"""The digest of a join token, the worker that uses it, the time."""


class SqlRegistry(SqlCatalogue):
    """A ``Registry``."""

    async def put_join_token(self, token: JoinToken) -> None:
        await self._write("put_join_token", *msgspec.structs.astuple(token))

    async def join_tokens(self) -> list[JoinToken]:
        return [_join_token(row) for row in await self._read("join_tokens")]

    async def remove_join_token(self, token_id: str) -> bool:
        return await self._write("remove_join_token", token_id) == 1

    async def join(self, token_digest: str, worker: Worker, now_ms: int) -> Join:
        return await self._writer.call(_join, (token_digest, worker, now_ms))

    async def open_session(self, worker: Worker, now_ms: int) -> None:
        described = (worker.name, worker.version, worker.platform, worker.slots)
        session = (worker.session, worker.incarnation, now_ms)
        more = (_labels_text(worker), int(worker.ephemeral), worker.protocol, worker.role.value)
        if not await self._write("open_session", worker.id, *described, *session, *more):
            raise NotFound(f"worker {worker.id} never joined")

    async def close_session(self, worker: WorkerId, session: SessionId, now_ms: int) -> None:
        await self._write("close_session", worker, session, now_ms)

    async def set_worker_state(
        self, worker: WorkerId, state: WorkerState, drain_by_ms: int | None = None
    ) -> bool:
        return await self._write("set_worker_state", worker, int(state), drain_by_ms) == 1

    async def forget_worker(self, worker: WorkerId) -> bool:
        return await self._writer.call(_forget, worker)

    async def worker(self, worker: WorkerId) -> Worker | None:
        rows = await self._read("worker", worker)
        return next((_worker(row) for row in rows), None)

    async def workers(self) -> list[Worker]:
        return [_worker(row) for row in await self._read("workers")]


def _join(connection: sqlite3.Connection, calls: Sequence[JoinCall]) -> list[Join]:
    return [_join_one(connection, *call) for call in calls]


def _join_one(connection: sqlite3.Connection, token_digest: str, worker: Worker, now_ms: int) -> Join:
    known = fetch("worker", (worker.id,), connection)
    if known:
        return Join.REVOKED if _worker(known[0]).state is WorkerState.REVOKED else Join.DONE
    if fetch("barred_key", (worker.id,), connection):
        return Join.REVOKED
    found = fetch("join_token", (token_digest,), connection)
    if not found:
        return Join.UNKNOWN
    if _join_token(found[0]).expires_ms <= now_ms:
        return Join.EXPIRED
    if not connection.execute(QUERIES["use_join_token"], (token_digest, now_ms)).rowcount:
        return Join.USED_UP
    connection.execute(QUERIES["enter_worker"], _worker_row(worker))
    return Join.DONE


def _forget(connection: sqlite3.Connection, calls: Sequence[WorkerId]) -> list[bool]:
    return [_forget_one(connection, worker) for worker in calls]


def _forget_one(connection: sqlite3.Connection, worker: WorkerId) -> bool:
    connection.execute(QUERIES["bar_key"], (worker,))
    return connection.execute(QUERIES["remove_worker"], (worker,)).rowcount == 1


def _join_token(row: tuple[Any, ...]) -> JoinToken:
    return JoinToken(**dict(zip(JoinToken.__struct_fields__, row, strict=True)))


def _labels_text(worker: Worker) -> str:
    return json.dumps(dict(worker.labels), sort_keys=True)


def _worker_row(worker: Worker) -> tuple[Any, ...]:
    values = msgspec.structs.asdict(worker) | {"labels": _labels_text(worker)}
    values["role"] = worker.role.value
    return tuple(int(value) if isinstance(value, int) else value for value in values.values())


def _worker(row: tuple[Any, ...]) -> Worker:
    values = dict(zip(Worker.__struct_fields__, row, strict=True))
    values["state"] = WorkerState(values["state"])
    values["session_open"] = bool(values["session_open"])
    values["labels"] = json.loads(values["labels"])
    values["ephemeral"] = bool(values["ephemeral"])
    values["role"] = PeerRole(values["role"])
    return Worker(**values)

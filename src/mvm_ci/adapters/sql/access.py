"""Tokens, namespaces and the audit log in SQL."""

import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import Final

from msgspec.structs import astuple

from mvm_ci.adapters.sql.queries import QUERIES, execute_rows
from mvm_ci.adapters.sql.statements import Row, Statements, execute, fetch
from mvm_ci.domain.quota import Quota
from mvm_ci.domain.role import Role
from mvm_ci.ports.access import ApiToken, AuditEntry, AuditFilter, AuditPage, Namespace

LOOKED_AT: Final = 50_000
"""Entries of the audit log for one page at most: a filter that fits few must not read a whole log at once."""


class SqlAccess(Statements):
    """An ``Access``."""

    async def put_token(self, token: ApiToken) -> None:
        about = (token.id, token.digest, token.name, token.role.value, token.namespace)
        times = (token.created_ms, token.expires_ms, token.last_used_ms)
        await self._write("put_token", *about, *times, token.created_by, token.revoked_ms)

    async def token(self, digest: str) -> ApiToken | None:
        return next(map(_token, await self._read("token", digest)), None)

    async def tokens(self) -> list[ApiToken]:
        return list(map(_token, await self._read("tokens")))

    async def revoke_token(self, token_id: str, now_ms: int) -> ApiToken | None:
        return await self._writer.call(_revoke, (token_id, now_ms))

    def used(self, token_id: str, now_ms: int) -> None:
        self._writer.soon(execute, ("token_used", (token_id, now_ms)))

    async def put_namespace(self, namespace: Namespace) -> bool:
        limits = _limits(namespace.quota)
        return await self._write("put_namespace", namespace.name, namespace.created_ms, *limits) == 1

    async def set_quota(self, name: str, quota: Quota) -> bool:
        return await self._write("set_quota", name, *_limits(quota)) == 1

    async def delete_namespace(self, name: str, now_ms: int) -> bool:
        return await self._writer.call(_delete_namespace, (name, now_ms))

    async def namespaces(self) -> list[Namespace]:
        return list(map(_namespace, await self._read("namespaces")))

    async def record(self, entry: AuditEntry) -> None:
        await self._writer.call(_record, entry)

    def record_soon(self, entry: AuditEntry) -> None:
        self._writer.soon(_record, entry)

    async def audit(self, wanted: AuditFilter, before: int | None = None, limit: int = 100) -> AuditPage:
        return await self._reader.read(partial(_page, wanted, before, limit))

    async def prune_audit(self, before_ms: int, limit: int) -> int:
        return await self._write("prune_audit", before_ms, limit)


def _revoke(connection: sqlite3.Connection, calls: Sequence[tuple[str, int]]) -> list[ApiToken | None]:
    return [next(map(_token, fetch("revoke_token", call, connection)), None) for call in calls]


def _delete_namespace(connection: sqlite3.Connection, calls: Sequence[tuple[str, int]]) -> list[bool]:
    return [_delete_one(connection, *call) for call in calls]


def _delete_one(connection: sqlite3.Connection, name: str, now_ms: int) -> bool:
    connection.execute(QUERIES["revoke_tokens_of"], (name, now_ms))
    return connection.execute(QUERIES["delete_namespace"], (name,)).rowcount == 1


def _record(connection: sqlite3.Connection, entries: Sequence[AuditEntry]) -> Sequence[None]:
    # All fields but the number, in the order of the statement.
    rows = [astuple(entry)[1:] for entry in entries]
    execute_rows(connection, "record_audit", rows)
    return [None] * len(rows)


def _page(wanted: AuditFilter, before: int | None, limit: int, connection: sqlite3.Connection) -> AuditPage:
    ((oldest, newest),) = fetch("ends_of_audit", (), connection)
    if newest is None:
        return AuditPage(entries=(), before=None)
    below = newest + 1 if before is None else min(before, newest + 1)
    first = max(below - LOOKED_AT, oldest)
    conditions = (wanted.since_ms, wanted.actor, wanted.action, wanted.namespace)
    rows = fetch("list_audit", (first, below, *conditions, limit), connection)
    entries = tuple(AuditEntry(**dict(zip(AuditEntry.__struct_fields__, row, strict=True))) for row in rows)
    looked_at = entries[-1].seq if len(entries) == limit else first
    return AuditPage(entries=entries, before=looked_at if looked_at > oldest else None)


def _token(row: Row) -> ApiToken:
    values = dict(zip(ApiToken.__struct_fields__, row, strict=True))
    values["role"] = Role(values["role"])
    return ApiToken(**values)


def _limits(quota: Quota) -> Row:
    return quota.max_waiting, quota.max_running, quota.max_bytes


def _namespace(row: Row) -> Namespace:
    name, created_ms, max_waiting, max_running, max_bytes = row
    quota = Quota(max_waiting=max_waiting, max_running=max_running, max_bytes=max_bytes)
    return Namespace(name=name, created_ms=created_ms, quota=quota)

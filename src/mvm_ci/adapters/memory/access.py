"""Tokens, namespaces and the audit log in memory."""

from operator import attrgetter

from msgspec.structs import replace

from mvm_ci.domain.namespace import DEFAULT_NAMESPACE
from mvm_ci.domain.quota import Quota
from mvm_ci.ports.access import ApiToken, AuditEntry, AuditFilter, AuditPage, Namespace


class MemoryAccess:
    """An ``Access``."""

    def __init__(self) -> None:
        self._tokens: dict[str, ApiToken] = {}
        self._namespaces = {DEFAULT_NAMESPACE: Namespace(name=DEFAULT_NAMESPACE, created_ms=0)}
        self._entries: list[AuditEntry] = []
        self._last = 0

    async def put_token(self, token: ApiToken) -> None:
        self._tokens.setdefault(token.id, token)

    async def token(self, digest: str) -> ApiToken | None:
        return next((token for token in self._tokens.values() if token.digest == digest), None)

    async def tokens(self) -> list[ApiToken]:
        return sorted(self._tokens.values(), key=attrgetter("created_ms", "id"))

    async def revoke_token(self, token_id: str, now_ms: int) -> ApiToken | None:
        token = self._tokens.get(token_id)
        if token is not None and token.revoked_ms is None:
            token = self._tokens[token_id] = replace(token, revoked_ms=now_ms)
        return token

    def used(self, token_id: str, now_ms: int) -> None:
        token = self._tokens.get(token_id)
        if token is not None:
            self._tokens[token_id] = replace(token, last_used_ms=max(token.last_used_ms or 0, now_ms))

    async def put_namespace(self, namespace: Namespace) -> bool:
        return self._namespaces.setdefault(namespace.name, namespace) is namespace

    async def set_quota(self, name: str, quota: Quota) -> bool:
        namespace = self._namespaces.get(name)
        if namespace is None:
            return False
        self._namespaces[name] = replace(namespace, quota=quota)
        return True

    async def delete_namespace(self, name: str, now_ms: int) -> bool:
        for token in await self.tokens():
            if token.namespace == name:
                await self.revoke_token(token.id, now_ms)
        return self._namespaces.pop(name, None) is not None

    async def namespaces(self) -> list[Namespace]:
        return [self._namespaces[name] for name in sorted(self._namespaces)]

    async def record(self, entry: AuditEntry) -> None:
        self.record_soon(entry)

    def record_soon(self, entry: AuditEntry) -> None:
        self._last += 1
        self._entries.append(replace(entry, seq=self._last))

    async def audit(self, wanted: AuditFilter, before: int | None = None, limit: int = 100) -> AuditPage:
        newest = reversed(self._entries)
        found = [e for e in newest if (before is None or e.seq < before) and _fits(e, wanted)]
        more = len(found) > limit
        return AuditPage(entries=tuple(found[:limit]), before=found[limit - 1].seq if more else None)

    async def prune_audit(self, before_ms: int, limit: int) -> int:
        oldest, rest = self._entries[:limit], self._entries[limit:]
        kept = [e for e in oldest if e.at_ms >= before_ms or e.seq == self._last]
        self._entries = [*kept, *rest]
        return len(oldest) - len(kept)


def _fits(entry: AuditEntry, wanted: AuditFilter) -> bool:
    return (
        (wanted.since_ms is None or entry.at_ms >= wanted.since_ms)
        and wanted.actor in {None, entry.token, entry.name}
        and wanted.action in {None, entry.action}
        and wanted.namespace in {None, entry.namespace}
    )

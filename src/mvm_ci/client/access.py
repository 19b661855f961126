"""The client's methods for tokens, namespaces and the audit log."""

from typing import Any, Final

import httpx
import msgspec

from mvm_ci.client.calls import Calls, part
from mvm_ci.domain.role import Role
from mvm_ci.wire import api

_JSON: Final = {"content-type": "application/json"}


class AccessMethods(Calls):
    """One method for each route; ``ApiClient`` has them."""

    async def whoami(self) -> api.WhoAmI:
        """The token in use."""
        return self._decode(await self._send("GET", "/v1/whoami"), api.WhoAmI)

    async def create_token(
        self, name: str, role: Role, *, namespace: str | None = None, ttl_s: int | None = None
    ) -> api.TokenView:
        """A new token; the only answer with its secret.

        ``namespace``: ``*`` for all, None: the one in which this client works; ``ttl_s`` None: it never
        expires.
        """
        asked = api.CreateToken(name=name, role=role, namespace=namespace, ttl_s=ttl_s)
        return self._decode(await self._send_json("POST", "/v1/tokens", asked), api.TokenView)

    async def tokens(self) -> tuple[api.TokenView, ...]:
        """The tokens within reach, without their secrets, oldest first."""
        return self._decode(await self._send("GET", "/v1/tokens"), api.TokenList).tokens

    async def revoke_token(self, token: str) -> api.TokenView:
        """Refuses a token (by its id) from now on, for good."""
        return self._decode(await self._send("POST", f"/v1/tokens/{part(token)}/revoke"), api.TokenView)

    async def create_namespace(self, name: str, quota: api.SetQuota) -> api.NamespaceView:
        """A new namespace. ``Conflict`` if there is one of that name."""
        asked = api.CreateNamespace(name=name, **msgspec.structs.asdict(quota))
        return self._decode(await self._send_json("POST", "/v1/namespaces", asked), api.NamespaceView)

    async def namespaces(self) -> tuple[api.NamespaceView, ...]:
        """The namespaces within reach, by name."""
        return self._decode(await self._send("GET", "/v1/namespaces"), api.NamespaceList).namespaces

    async def show_namespace(self, name: str) -> api.NamespaceView:
        """One namespace."""
        return self._decode(await self._send("GET", _namespace(name)), api.NamespaceView)

    async def set_quota(self, name: str, quota: api.SetQuota) -> api.NamespaceView:
        """Sets a namespace's quota, all of it."""
        return self._decode(
            await self._send_json("PUT", f"{_namespace(name)}/quota", quota), api.NamespaceView
        )

    async def delete_namespace(self, name: str) -> api.NamespaceView:
        """Removes an empty namespace and revokes its tokens. ``Conflict`` if it is not empty."""
        return self._decode(await self._send("DELETE", _namespace(name)), api.NamespaceView)

    async def audit(
        self,
        *,
        since_ms: int | None = None,
        actor: str | None = None,
        action: str | None = None,
        namespace: str | None = None,
        limit: int = 100,
    ) -> tuple[api.AuditView, ...]:
        """Up to ``limit`` entries of the audit log, newest first, over as many pages as it takes."""
        wanted = {"since_ms": since_ms, "actor": actor, "action": action, "namespace": namespace}
        params: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
        entries: list[api.AuditView] = []
        while True:
            params["limit"] = min(limit - len(entries), api.MAX_PAGE)
            page = self._decode(await self._send("GET", "/v1/audit", params=params), api.AuditList)
            entries += page.entries
            if page.cursor is None or len(entries) >= limit:
                return tuple(entries)
            params["cursor"] = page.cursor

    async def _send_json(self, method: str, path: str, body: msgspec.Struct) -> httpx.Response:
        return await self._send(method, path, content=msgspec.json.encode(body), headers=_JSON)


def _namespace(name: str) -> str:
    return f"/v1/namespaces/{part(name)}"

"""The client's methods for modules, their names and versions."""

from typing import Any, Final

import msgspec

from mvm_ci.client.calls import Calls, part
from mvm_ci.wire import api

_JSON: Final = {"content-type": "application/json"}
_NAMES: Final = "/v1/modules/names"


class ModuleCalls(Calls):
    """Modules."""

    async def push_module(self, data: bytes, name: str = "") -> api.ModuleView:
        """Stores a module. One that the namespace holds is answered as it is."""
        params = {"name": name} if name else {}
        headers = {"content-type": "application/wasm"}
        answer = await self._send("POST", "/v1/modules", content=data, params=params, headers=headers)
        return self._decode(answer, api.ModuleView)

    async def modules(self, prefix: str = "") -> tuple[api.ModuleView, ...]:
        """Modules, newest first; ``prefix``: of the digest."""
        params = {"prefix": prefix} if prefix else {}
        return (await self._get("/v1/modules", api.ModuleList, params=params)).modules

    async def delete_module(self, digest: str) -> api.ModuleView:
        """Takes a module out of the namespace; its jobs go on. ``Conflict`` while a version stands for it."""
        return self._decode(await self._send("DELETE", f"/v1/modules/{part(digest)}"), api.ModuleView)

    async def publish_module(self, name: str, version: str, digest: str) -> api.ModuleVersionView:
        """Makes a version of a name stand for a module, for good. ``VersionTaken`` if it stands for
        another.
        """
        body = msgspec.json.encode(api.PutModuleVersion(digest=digest))
        answer = await self._send("PUT", _version(name, version), content=body, headers=_JSON)
        return self._decode(answer, api.ModuleVersionView)

    async def module_names(self, *, limit: int = 100, cursor: str | None = None) -> api.ModuleVersionList:
        """One page of names, each with the version published last, by name."""
        return await self._get(_NAMES, api.ModuleVersionList, params=_page(limit, cursor))

    async def module_versions(
        self, name: str, *, limit: int = 100, cursor: str | None = None
    ) -> api.ModuleVersionList:
        """One page of the versions of a name, the one published last first."""
        path = f"{_NAMES}/{part(name)}/versions"
        return await self._get(path, api.ModuleVersionList, params=_page(limit, cursor))

    async def newest_module(self, name: str) -> api.ModuleVersionView:
        """The version of a name that was published last."""
        return await self._get(f"{_NAMES}/{part(name)}", api.ModuleVersionView)

    async def module_version(self, name: str, version: str) -> api.ModuleVersionView:
        """What a name and a version stand for."""
        return await self._get(_version(name, version), api.ModuleVersionView)

    async def unpublish_module(self, name: str, version: str) -> api.ModuleVersionView:
        """Removes a version; the module stays."""
        answer = await self._send("DELETE", _version(name, version))
        return self._decode(answer, api.ModuleVersionView)


def _version(name: str, version: str) -> str:
    return f"{_NAMES}/{part(name)}/versions/{part(version)}"


def _page(limit: int, cursor: str | None) -> dict[str, Any]:
    return {"limit": limit} | ({"cursor": cursor} if cursor else {})

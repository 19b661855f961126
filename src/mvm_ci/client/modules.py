"""The client's methods for modules."""

from mvm_ci.client.calls import Calls
from mvm_ci.wire import api


class ModuleCalls(Calls):
    """Modules."""

    async def push_module(self, data: bytes, name: str = "") -> api.ModuleView:
        """Stores a module. One that is there is answered as it is."""
        params = {"name": name} if name else {}
        headers = {"content-type": "application/wasm"}
        answer = await self._send("POST", "/v1/modules", content=data, params=params, headers=headers)
        return self._decode(answer, api.ModuleView)

    async def modules(self, prefix: str = "") -> tuple[api.ModuleView, ...]:
        """Modules, newest first; ``prefix``: of the digest."""
        params = {"prefix": prefix} if prefix else {}
        return (await self._get("/v1/modules", api.ModuleList, params=params)).modules

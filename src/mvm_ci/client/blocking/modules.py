# Made by tests/unit/client/blocking_twin.py of mvm_ci/client/modules.py: change that one.
"""The client's methods for modules."""

from mvm_ci.client.blocking.calls import Calls
from mvm_ci.wire import api


class ModuleCalls(Calls):
    """Modules."""

    def push_module(self, data: bytes, name: str = "") -> api.ModuleView:
        """Stores a module. One that is there is answered as it is."""
        params = {"name": name} if name else {}
        headers = {"content-type": "application/wasm"}
        answer = self._send("POST", "/v1/modules", content=data, params=params, headers=headers)
        return self._decode(answer, api.ModuleView)

    def modules(self, prefix: str = "") -> tuple[api.ModuleView, ...]:
        """Modules, newest first; ``prefix``: of the digest."""
        params = {"prefix": prefix} if prefix else {}
        return (self._get("/v1/modules", api.ModuleList, params=params)).modules

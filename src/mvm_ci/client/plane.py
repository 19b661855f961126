"""The client's methods for the control plane itself."""

from typing import Any

from mvm_ci.client.calls import Calls
from mvm_ci.wire import api


class PlaneCalls(Calls):
    """The control plane itself."""

    async def ticket(self) -> str:
        """Where workers find the control plane."""
        return (await self._get("/v1/ticket", api.Ticket)).ticket

    async def status(self) -> api.Status:
        """The control plane at a glance."""
        return await self._get("/v1/status", api.Status)

    async def live(self) -> dict[str, str]:
        """Answers if the process does."""
        return await self._get("/livez", dict[str, str])

    async def ready(self) -> dict[str, str]:
        """Answers if the control plane takes requests; else ``Unavailable``."""
        return await self._get("/readyz", dict[str, str])

    async def openapi(self) -> dict[str, Any]:
        """The API as an OpenAPI document."""
        return await self._get("/openapi.json", dict[str, Any])

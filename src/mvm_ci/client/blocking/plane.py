# Made by tests/unit/client/blocking_twin.py of mvm_ci/client/plane.py: change that one.
"""The client's methods for the control plane itself."""

from typing import Any

from mvm_ci.client.blocking.calls import Calls
from mvm_ci.wire import api


class PlaneCalls(Calls):
    """The control plane itself."""

    def ticket(self) -> str:
        """Where workers find the control plane."""
        return (self._get("/v1/ticket", api.Ticket)).ticket

    def status(self) -> api.Status:
        """The control plane at a glance."""
        return self._get("/v1/status", api.Status)

    def live(self) -> dict[str, str]:
        """Answers if the process does."""
        return self._get("/livez", dict[str, str])

    def ready(self) -> dict[str, str]:
        """Answers if the control plane takes requests; else ``Unavailable``."""
        return self._get("/readyz", dict[str, str])

    def openapi(self) -> dict[str, Any]:
        """The API as an OpenAPI document."""
        return self._get("/openapi.json", dict[str, Any])

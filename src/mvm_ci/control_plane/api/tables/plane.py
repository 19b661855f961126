"""The table of routes: the control plane itself."""

from typing import Final

from mvm_ci.control_plane.api import plane
from mvm_ci.control_plane.api.routes import TEXT, Route
from mvm_ci.domain.role import Role
from mvm_ci.wire import api

ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/status",
        role=Role.VIEWER,
        handler=plane.status,
        summary="The control plane at a glance.",
        answer=api.Status,
    ),
    Route(
        method="GET",
        path="/v1/ticket",
        role=Role.VIEWER,
        handler=plane.ticket,
        summary="Where workers find the control plane: an address, not a permission.",
        answer=api.Ticket,
    ),
    Route(
        method="GET",
        path="/metrics",
        role=Role.VIEWER,
        everywhere=True,
        handler=plane.metrics,
        summary="Figures of the whole control plane, in Prometheus' text format.",
        media=TEXT,
    ),
    Route(
        method="GET",
        path="/livez",
        role=None,
        handler=plane.live,
        summary="The process answers.",
        answer=dict[str, str],
    ),
    Route(
        method="GET",
        path="/readyz",
        role=None,
        handler=plane.ready,
        summary="It takes requests, and its store answers.",
        answer=dict[str, str],
    ),
)

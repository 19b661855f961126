"""The table of routes: modules."""

from typing import Final

from mvm_ci.control_plane.api import modules
from mvm_ci.control_plane.api.routes import BYTES, WASM, Body, Kind, Query, Route
from mvm_ci.domain.module import MAX_MODULE_BYTES
from mvm_ci.domain.role import Role
from mvm_ci.wire import api

ROUTES: Final = (
    Route(
        method="POST",
        path="/v1/modules",
        role=Role.SUBMITTER,
        handler=modules.push_module,
        summary="Store a module. One that is there is answered as it was first stored.",
        body=Body(MAX_MODULE_BYTES, None, (WASM, BYTES)),
        answer=api.ModuleView,
        query=(Query("name", Kind.TEXT, "Its name, instead of the manifest's."),),
        audit="module.push",
        errors=(422, 429),
    ),
    Route(
        method="GET",
        path="/v1/modules",
        role=Role.VIEWER,
        handler=modules.modules,
        summary="Modules, newest first.",
        answer=api.ModuleList,
        query=(
            Query("prefix", Kind.TEXT, "Only modules whose digest begins so.", pattern="^[0-9a-f]{0,64}$"),
        ),
    ),
)

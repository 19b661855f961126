"""The table of routes: modules."""

from typing import Final

from mvm_ci.control_plane.api import modules
from mvm_ci.control_plane.api.routes import BYTES, WASM, Body, Kind, Query, Route
from mvm_ci.domain.module import MAX_MODULE_BYTES
from mvm_ci.domain.role import Role
from mvm_ci.wire import api

_JSON: Final = 64 << 10
"""Bytes of a request body that is not a submission."""
_LIMIT: Final = Query(
    "limit", Kind.INTEGER, f"Versions a page; {modules.DEFAULT_VERSIONS} if left out.", 1, api.MAX_PAGE
)

ROUTES: Final = (
    Route(
        method="POST",
        path="/v1/modules",
        role=Role.SUBMITTER,
        handler=modules.push_module,
        summary="Store a module. One that the namespace holds is answered as it was first stored there.",
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
        summary="The modules of the namespace, newest first.",
        answer=api.ModuleList,
        query=(
            Query("prefix", Kind.TEXT, "Only modules whose digest begins so.", pattern="^[0-9a-f]{0,64}$"),
        ),
    ),
    Route(
        method="DELETE",
        path="/v1/modules/{digest}",
        role=Role.OPERATOR,
        handler=modules.delete_module,
        summary="Take a module out of the namespace, if no version stands for it; its jobs go on.",
        answer=api.ModuleView,
        audit="module.delete",
        errors=(409,),
    ),
    Route(
        method="GET",
        path="/v1/modules/names",
        role=Role.VIEWER,
        handler=modules.names,
        summary="The names of modules, each with the version that was published last, by name.",
        answer=api.ModuleVersionList,
        query=(_LIMIT, Query("cursor", Kind.TEXT, "The cursor of the page before.")),
    ),
    Route(
        method="GET",
        path="/v1/modules/names/{name}",
        role=Role.VIEWER,
        handler=modules.newest,
        summary="The version of a name that was published last: what the name alone stands for.",
        answer=api.ModuleVersionView,
    ),
    Route(
        method="GET",
        path="/v1/modules/names/{name}/versions",
        role=Role.VIEWER,
        handler=modules.versions,
        summary="The versions of a name, the one that was published last first.",
        answer=api.ModuleVersionList,
        query=(
            _LIMIT,
            Query("cursor", Kind.TEXT, "The cursor of the page before.", pattern=f"^{modules.NUMBER}$"),
        ),
    ),
    Route(
        method="GET",
        path="/v1/modules/names/{name}/versions/{version}",
        role=Role.VIEWER,
        handler=modules.version,
        summary="What a name and a version stand for.",
        answer=api.ModuleVersionView,
    ),
    Route(
        method="PUT",
        path="/v1/modules/names/{name}/versions/{version}",
        role=Role.SUBMITTER,
        handler=modules.publish,
        summary="Publish a version of a name. It stands for this module for good: the same again is a "
        "repetition, another module a conflict.",
        body=Body(_JSON, api.PutModuleVersion),
        answer=api.ModuleVersionView,
        audit="module.publish",
        errors=(409,),
    ),
    Route(
        method="DELETE",
        path="/v1/modules/names/{name}/versions/{version}",
        role=Role.OPERATOR,
        handler=modules.unpublish,
        summary="Remove a version of a name; the module stays, and so do jobs of it.",
        answer=api.ModuleVersionView,
        audit="module.unpublish",
    ),
)

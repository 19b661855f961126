"""The table of routes: secrets."""

from typing import Final

from mvm_ci.control_plane.api import secrets
from mvm_ci.control_plane.api.routes import Body, Route
from mvm_ci.domain.role import Role
from mvm_ci.wire import api

_VALUE: Final = 256 << 10
"""Bytes of a request body with a value: each of its bytes may be escaped."""
_JSON: Final = 64 << 10

ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/secrets",
        role=Role.OPERATOR,
        handler=secrets.listing,
        summary="The secrets of the namespace, without their values.",
        answer=api.SecretList,
    ),
    Route(
        method="GET",
        path="/v1/secrets/{name}",
        role=Role.OPERATOR,
        handler=secrets.show,
        summary="A secret, without its value.",
        answer=api.SecretView,
    ),
    Route(
        method="PUT",
        path="/v1/secrets/{name}",
        role=Role.OPERATOR,
        handler=secrets.put,
        summary="Make a secret, or a new version of one. No route tells its value again.",
        body=Body(_VALUE, api.SetSecret),
        answer=api.SecretView,
        audit="secret.set",
        errors=(409,),
    ),
    Route(
        method="POST",
        path="/v1/secrets/{name}/rotate",
        role=Role.OPERATOR,
        handler=secrets.rotate,
        summary="Make a new version of a secret that there is.",
        body=Body(_VALUE, api.RotateSecret),
        answer=api.SecretView,
        audit="secret.rotate",
        errors=(409,),
    ),
    Route(
        method="PUT",
        path="/v1/secrets/{name}/modules",
        role=Role.OPERATOR,
        handler=secrets.allow,
        summary="Say whose jobs may read a secret from now on; those that were submitted keep it.",
        body=Body(_JSON, api.AllowModules),
        answer=api.SecretView,
        audit="secret.allow",
    ),
    Route(
        method="DELETE",
        path="/v1/secrets/{name}",
        role=Role.OPERATOR,
        handler=secrets.remove,
        summary="Remove a secret with all its versions, if no job names it that may go on.",
        answer=api.SecretView,
        audit="secret.remove",
        errors=(409,),
    ),
)

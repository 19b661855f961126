"""The table of routes: tokens, namespaces, the audit log."""

from typing import Final

from mvm_ci.control_plane.api import access
from mvm_ci.control_plane.api.routes import Body, Kind, Query, Route
from mvm_ci.domain.role import Role
from mvm_ci.wire import api

_JSON: Final = 64 << 10
"""Bytes of a request body that is not a submission."""

ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/whoami",
        role=Role.VIEWER,
        handler=access.whoami,
        summary="The token of this request: its role, its scope, when it expires.",
        answer=api.WhoAmI,
    ),
    Route(
        method="POST",
        path="/v1/tokens",
        role=Role.ADMIN,
        audit="token.create",
        handler=access.create_token,
        summary="A new token, of no more rights than the caller's. The only answer that shows its secret.",
        body=Body(_JSON, api.CreateToken),
        answer=api.TokenView,
    ),
    Route(
        method="GET",
        path="/v1/tokens",
        role=Role.ADMIN,
        handler=access.tokens,
        summary="All tokens of the caller's namespace or, with a token for all, of all; without secrets.",
        answer=api.TokenList,
    ),
    Route(
        method="POST",
        path="/v1/tokens/{id}/revoke",
        role=Role.ADMIN,
        audit="token.revoke",
        handler=access.revoke_token,
        summary="Refuse a token, for good and at once.",
        answer=api.TokenView,
    ),
    Route(
        method="POST",
        path="/v1/namespaces",
        role=Role.ADMIN,
        everywhere=True,
        audit="namespace.create",
        handler=access.create_namespace,
        summary="A new namespace.",
        body=Body(_JSON, api.CreateNamespace),
        answer=api.NamespaceView,
        errors=(409,),
    ),
    Route(
        method="GET",
        path="/v1/namespaces",
        role=Role.VIEWER,
        handler=access.namespaces,
        summary="The namespaces in which the caller may work.",
        answer=api.NamespaceList,
    ),
    Route(
        method="GET",
        path="/v1/namespaces/{name}",
        role=Role.VIEWER,
        handler=access.namespace,
        summary="A namespace and its quota.",
        answer=api.NamespaceView,
    ),
    Route(
        method="PUT",
        path="/v1/namespaces/{name}/quota",
        role=Role.ADMIN,
        everywhere=True,
        audit="namespace.quota",
        handler=access.set_quota,
        summary="Set a namespace's quota: all of it. What it holds already stays.",
        body=Body(_JSON, api.SetQuota),
        answer=api.NamespaceView,
    ),
    Route(
        method="DELETE",
        path="/v1/namespaces/{name}",
        role=Role.ADMIN,
        everywhere=True,
        audit="namespace.delete",
        handler=access.delete_namespace,
        summary="Remove an empty namespace; its tokens are revoked.",
        answer=api.NamespaceView,
        errors=(409,),
    ),
    Route(
        method="GET",
        path="/v1/audit",
        role=Role.ADMIN,
        handler=access.audit,
        summary="Who did what, or was refused, newest first.",
        answer=api.AuditList,
        query=(
            Query("since_ms", Kind.INTEGER, "Only entries from this time on."),
            Query("actor", Kind.TEXT, "Only what the token with this id or name did."),
            Query("action", Kind.TEXT, "Only this action, such as token.create."),
            Query("namespace", Kind.TEXT, "Only in this namespace; * for what is not in one."),
            Query(
                "limit",
                Kind.INTEGER,
                f"Entries a page; {access.DEFAULT_ENTRIES} if left out.",
                1,
                api.MAX_PAGE,
            ),
            Query("cursor", Kind.INTEGER, "The cursor of the page before."),
        ),
        errors=(404,),
    ),
)

"""The table of routes: workers."""

from typing import Final

from mvm_ci.control_plane.api import workers
from mvm_ci.control_plane.api.routes import Body, Route
from mvm_ci.domain.role import Role
from mvm_ci.wire import api

_JSON: Final = 64 << 10
"""Bytes of a request body that is not a submission."""

ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/workers",
        role=Role.VIEWER,
        handler=workers.workers,
        summary="All workers.",
        answer=api.WorkerList,
    ),
    Route(
        method="POST",
        path="/v1/workers/{id}/drain",
        role=Role.OPERATOR,
        everywhere=True,
        audit="worker.drain",
        handler=workers.drain_worker,
        summary="Let a worker finish what it runs and give it nothing more, until its next start.",
        answer=api.WorkerView,
    ),
    Route(
        method="POST",
        path="/v1/workers/{id}/revoke",
        role=Role.OPERATOR,
        everywhere=True,
        audit="worker.revoke",
        handler=workers.revoke_worker,
        summary="Refuse a worker's key, for good and at once; its jobs go on elsewhere.",
        answer=api.WorkerView,
    ),
    Route(
        method="POST",
        path="/v1/join-tokens",
        role=Role.OPERATOR,
        everywhere=True,
        audit="join-token.create",
        handler=workers.create_join_token,
        summary="A new join token. The only answer that shows its secret.",
        body=Body(_JSON, api.CreateJoinToken),
        answer=api.JoinTokenView,
    ),
    Route(
        method="GET",
        path="/v1/join-tokens",
        role=Role.OPERATOR,
        everywhere=True,
        handler=workers.join_tokens,
        summary="All join tokens, without their secrets.",
        answer=api.JoinTokenList,
    ),
)

"""The table of routes: workers."""

from typing import Final

from mvm_ci.control_plane.api import workers
from mvm_ci.control_plane.api.routes import Body, Kind, Query, Route
from mvm_ci.domain.role import Role
from mvm_ci.wire import api

_JSON: Final = 64 << 10
"""Bytes of a request body that is not a submission."""
MAX_DEADLINE_S: Final = 30 * 86_400

ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/workers",
        role=Role.VIEWER,
        handler=workers.workers,
        summary="All workers, or those with certain labels.",
        query=(Query("label", Kind.TEXT, "Labels that it must have: key or key=value, with commas."),),
        answer=api.WorkerList,
    ),
    Route(
        method="GET",
        path="/v1/workers/{id}",
        role=Role.VIEWER,
        handler=workers.worker,
        summary="One worker.",
        answer=api.WorkerView,
    ),
    Route(
        method="POST",
        path="/v1/workers/{id}/drain",
        role=Role.OPERATOR,
        everywhere=True,
        audit="worker.drain",
        handler=workers.drain_worker,
        summary="Give a worker nothing more, until it is resumed; what it runs goes on.",
        query=(
            Query(
                "deadline_s",
                Kind.NUMBER,
                "Seconds after which what it still runs is handed over and goes on elsewhere.",
                most=MAX_DEADLINE_S,
            ),
        ),
        errors=(409,),
        answer=api.WorkerView,
    ),
    Route(
        method="POST",
        path="/v1/workers/{id}/resume",
        role=Role.OPERATOR,
        everywhere=True,
        audit="worker.resume",
        handler=workers.resume_worker,
        summary="Give a drained worker jobs again.",
        errors=(409,),
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
        method="DELETE",
        path="/v1/workers/{id}",
        role=Role.OPERATOR,
        everywhere=True,
        audit="worker.forget",
        handler=workers.forget_worker,
        summary="Forget a worker that has no session; the key of a revoked one stays refused.",
        errors=(409,),
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
    Route(
        method="DELETE",
        path="/v1/join-tokens/{id}",
        role=Role.OPERATOR,
        everywhere=True,
        audit="join-token.remove",
        handler=workers.remove_join_token,
        summary="Remove a join token: nobody can join with it any more. Who joined stays.",
        answer=api.JoinTokenView,
    ),
)

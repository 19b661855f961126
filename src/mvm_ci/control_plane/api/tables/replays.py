"""The table of routes: what replays need."""

from typing import Final

from mvm_ci.control_plane.api import recordings
from mvm_ci.control_plane.api.routes import BYTES, WASM, Kind, Query, Route
from mvm_ci.domain.role import Role

_ATTEMPT: Final = Query("attempt", Kind.INTEGER, "Which attempt; the present one if left out.", least=1)
ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/jobs/{id}/recording",
        role=Role.VIEWER,
        handler=recordings.recording,
        summary="An attempt, to be replayed elsewhere: frames of MessagePack, its journal as it is stored.",
        media=BYTES,
        query=(_ATTEMPT,),
    ),
    Route(
        method="GET",
        path="/v1/jobs/{id}/payloads/{digest}",
        role=Role.VIEWER,
        handler=recordings.payload,
        summary="The bytes of a large payload that the job, or its journal, refers to.",
        media=BYTES,
        query=(_ATTEMPT, Query("from", Kind.INTEGER, "Index of the journal entry that refers to it.")),
    ),
    Route(
        method="GET",
        path="/v1/jobs/{id}/module",
        role=Role.SUBMITTER,
        handler=recordings.module,
        summary="The bytes of the job's module.",
        media=WASM,
        audit="module.download",
        hot=True,
    ),
)

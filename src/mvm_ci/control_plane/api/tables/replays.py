"""The table of routes: replays, and what follows from them."""

from typing import Final

from mvm_ci.control_plane.api import forks, recordings
from mvm_ci.control_plane.api.routes import BYTES, WASM, Body, Kind, Query, Route
from mvm_ci.domain.role import Role
from mvm_ci.wire import api

_JSON: Final = 64 << 10
"""Bytes of a request's body."""
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
        method="POST",
        path="/v1/jobs/{id}/fork",
        role=Role.SUBMITTER,
        handler=forks.fork,
        summary="A new job that begins with the first entries of this one's journal.",
        body=Body(_JSON, api.ForkJob),
        answer=api.JobView,
        audit="job.fork",
        errors=(409, 429),
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

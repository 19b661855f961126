"""The table of routes: artifacts."""

from typing import Final

from mvm_ci.control_plane.api import artifacts
from mvm_ci.control_plane.api.routes import BYTES, Body, Route
from mvm_ci.domain.artifact import MAX_ARTIFACT
from mvm_ci.domain.role import Role
from mvm_ci.wire import api

ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/jobs/{id}/artifacts",
        role=Role.VIEWER,
        handler=artifacts.listing,
        summary="What a job keeps by name, its inputs included.",
        answer=api.ArtifactList,
    ),
    Route(
        method="GET",
        path="/v1/jobs/{id}/artifacts/{name}",
        role=Role.VIEWER,
        handler=artifacts.download,
        summary="The bytes of an artifact, or a part of them (Range). A slash in the name is %2F; the ETag "
        "is the SHA-256.",
        media=BYTES,
        parts=True,
    ),
    Route(
        method="PUT",
        path="/v1/artifacts/{digest}",
        role=Role.SUBMITTER,
        handler=artifacts.upload,
        summary="Upload bytes to be inputs of jobs, under their SHA-256. Without a job they go after a day.",
        body=Body(MAX_ARTIFACT, None, (BYTES,), streamed=True),
        answer=api.UploadView,
        audit="artifact.upload",
        errors=(429,),
    ),
    Route(
        method="GET",
        path="/v1/artifacts/{digest}",
        role=Role.SUBMITTER,
        handler=artifacts.held,
        summary="Whether the namespace holds these bytes: then they need no upload, and stay for a day.",
        answer=api.UploadView,
    ),
)

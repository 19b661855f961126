"""Artifacts and uploads in the API."""

import msgspec


class ArtifactView(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact of a job. ``media``: its media type, empty if nobody said; ``input``: the job was given it.
    ``created_ms``: when it was put under this name last.
    """

    name: str
    digest: str
    size: int
    media: str
    input: bool
    created_ms: int


class ArtifactList(msgspec.Struct, frozen=True, kw_only=True):
    """All artifacts of a job, by name."""

    artifacts: tuple[ArtifactView, ...]


class UploadView(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that the namespace holds, to be the input of jobs."""

    digest: str
    size: int

"""Artifacts by job and name, and uploads: what a namespace holds besides, named by its digest, for jobs to
come.

As with ``ports.job_queue``, with which it shares the jobs: a call takes effect when it is made, in the order
of the calls of both, and returns when its effect is durable; errors of the store are ``Unavailable``. A job's
artifacts go with it, and its inputs (``JobSpec.inputs``) come with it. The bytes are in the blob store;
whoever calls stored them there before.
"""

from collections.abc import Awaitable, Collection, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from mvm_ci.domain.artifact import Artifact
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.job import Placed


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """A placement puts an artifact. ``number``: grows with the puts of an execution. The same number with
    other bytes: the guest was run again in its placement, and what it put last counts.
    """

    placed: Placed
    number: int
    artifact: Artifact
    at_ms: int


class PutResult(StrEnum):
    """What became of it."""

    DONE = "done"  # it is there, or was there and a later put of that name took its place
    STALE = "stale"  # the placement is over
    INPUT = "input"  # the job was given an artifact of this name
    FULL = "full"  # the job has as many as it may have


class StoredArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact of a job. ``input``: the job was given it."""

    artifact: Artifact
    created_ms: int
    input: bool


class ArtifactStore(Protocol):
    """See the module's docstring."""

    def put(self, put: Put, most: int) -> Awaitable[PutResult]:
        """The job has this artifact, instead of one of the same name, and ``most`` of them at most."""
        ...

    def artifacts(self, job: JobId) -> Awaitable[list[StoredArtifact]]:
        """All of a job, by name."""
        ...

    def artifact(self, job: JobId, name: str) -> Awaitable[StoredArtifact | None]:
        """One of them."""
        ...

    def upload(self, namespace: str, digest: Digest, size: int, now_ms: int) -> Awaitable[None]:
        """The namespace holds this; again: it does from now on."""
        ...

    def held(self, namespace: str, digests: Sequence[Digest]) -> Awaitable[dict[Digest, int]]:
        """The sizes of those that the namespace holds: uploaded, or as artifacts of its jobs."""
        ...

    def stored(self, namespace: str) -> Awaitable[int]:
        """Bytes that a namespace holds so, each content counted once."""
        ...

    def referenced(self, digests: Collection[Digest]) -> Awaitable[set[Digest]]:
        """Those that any namespace holds."""
        ...

    def forget_uploads(self, before_ms: int, limit: int) -> Awaitable[int]:
        """Removes up to ``limit`` uploads of before that time; how many. What jobs have of them stays."""
        ...

    def forget_uploads_of(self, namespace: str) -> Awaitable[None]:
        """Removes all uploads of a namespace."""
        ...

"""The routes of artifacts: those of jobs, and what users upload for jobs to come."""

from contextlib import aclosing
from typing import Final
from urllib.parse import quote

import msgspec

from mvm_ci.control_plane.api.jobs import find, job_id_of
from mvm_ci.control_plane.api.ranges import part_of
from mvm_ci.control_plane.api.requests import Request
from mvm_ci.control_plane.api.routes import BYTES, Reply, Stream
from mvm_ci.control_plane.api.services import Services
from mvm_ci.domain.errors import BadInput, NotFound
from mvm_ci.domain.ids import Digest, is_digest
from mvm_ci.ports.artifacts import StoredArtifact
from mvm_ci.wire import api

_NEVER_RUN: Final = ((b"x-content-type-options", b"nosniff"), (b"content-security-policy", b"sandbox"))
"""What a job has made is no page of ours."""
_encode = msgspec.json.Encoder().encode


async def listing(services: Services, request: Request) -> Reply:
    """All artifacts of a job, by name."""
    job = await find(services, request, job_id_of(request))
    found = await services.artifacts.of_job(job.id)
    return Reply(_encode(api.ArtifactList(artifacts=tuple(map(_view, found)))))


async def download(services: Services, request: Request) -> Stream:
    """The bytes of an artifact, or a part of them."""
    job = await find(services, request, job_id_of(request))
    artifact = (await services.artifacts.one_of_job(job.id, request.params["name"])).artifact
    size = await services.blobs.size(artifact.digest)
    etag = f'"{artifact.digest}"'.encode()
    part = part_of(request.part, size, etag)
    start, end = part or (0, size)
    headers = [
        (b"etag", etag),
        (b"accept-ranges", b"bytes"),
        (b"content-disposition", _attachment(artifact.name)),
        *_NEVER_RUN,
    ]
    if part is not None:
        headers.append((b"content-range", b"bytes %d-%d/%d" % (start, end - 1, size)))
    return Stream(
        services.blobs.read(artifact.digest, start, end),
        media=BYTES,
        status=200 if part is None else 206,
        length=end - start,
        headers=tuple(headers),
    )


async def upload(services: Services, request: Request) -> Reply:
    """Bytes for jobs to come."""
    digest = _digest(request)
    await services.artifacts.announced(request.namespace, digest, request.size)
    if request.coming is None:
        raise TypeError("the route's body is not streamed")
    async with aclosing(request.coming) as pieces:
        size = await services.artifacts.store(digest, request.size, pieces)
    await services.artifacts.upload(request.namespace, digest, size)
    return Reply(_encode(api.UploadView(digest=digest, size=size)))


async def held(services: Services, request: Request) -> Reply:
    """Whether there is need to upload."""
    digest = _digest(request)
    size = (await services.artifacts.held(request.namespace, [digest])).get(digest)
    if size is None:
        raise NotFound(f"the namespace holds no bytes with the digest {digest}; upload them")
    # As if they had been uploaded now.
    await services.artifacts.upload(request.namespace, digest, size)
    return Reply(_encode(api.UploadView(digest=digest, size=size)))


def _view(found: StoredArtifact) -> api.ArtifactView:
    artifact = found.artifact
    return api.ArtifactView(
        name=artifact.name,
        digest=artifact.digest,
        size=artifact.size,
        media=artifact.media,
        input=found.input,
        created_ms=found.created_ms,
    )


def _attachment(name: str) -> bytes:
    return f"attachment; filename*=UTF-8''{quote(name.rpartition('/')[2], safe='')}".encode()


def _digest(request: Request) -> Digest:
    digest = request.params["digest"]
    if not is_digest(digest):
        raise BadInput(f"digest: {digest[:80]!r} is none (64 hex digits, the SHA-256 of the bytes)")
    return Digest(digest)

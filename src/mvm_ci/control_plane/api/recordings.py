"""The routes by which a job's execution is taken elsewhere, to be replayed there."""

from mvm_ci.control_plane.api.jobs import find, job_id_of
from mvm_ci.control_plane.api.journal import attempt_of
from mvm_ci.control_plane.api.requests import Request
from mvm_ci.control_plane.api.routes import BYTES, WASM, Stream
from mvm_ci.control_plane.api.services import Services
from mvm_ci.domain.ids import format_job_id


async def recording(services: Services, request: Request) -> Stream:
    """An attempt's journal as it is stored, and what it is of."""
    job = await find(services, request, job_id_of(request))
    attempt = attempt_of(job, request.query.get("attempt"))
    return Stream(services.recordings.frames(job, attempt), BYTES)


async def module(services: Services, request: Request) -> Stream:
    """The bytes of the job's module."""
    job = await find(services, request, job_id_of(request))
    request.target = f"{format_job_id(job.id)} {job.spec.module}"
    return Stream(await services.recordings.module(job), WASM)


async def payload(services: Services, request: Request) -> Stream:
    """The bytes of a payload that the job refers to."""
    job = await find(services, request, job_id_of(request))
    attempt = attempt_of(job, request.query.get("attempt"))
    first: int = request.query.get("from", 0)
    return Stream(await services.recordings.payload(job, attempt, request.params["digest"], first), BYTES)

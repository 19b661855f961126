"""The route of forks."""

from typing import Final

import msgspec

from mvm_ci.control_plane.api.jobs import find, job_id_of
from mvm_ci.control_plane.api.journal import attempt_of
from mvm_ci.control_plane.api.requests import Request
from mvm_ci.control_plane.api.routes import Reply
from mvm_ci.control_plane.api.services import Services
from mvm_ci.control_plane.api.views import new_view
from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.ids import format_job_id
from mvm_ci.serving.bodies import decode
from mvm_ci.wire import api

_fork: Final = msgspec.json.Decoder(api.ForkJob)
_encode: Final = msgspec.json.Encoder().encode


async def fork(services: Services, request: Request) -> Reply:
    """A new job with a prefix of this one's journal."""
    asked = decode(_fork, request.body)
    job = await find(services, request, job_id_of(request))
    if asked.attempt is not None and asked.attempt < 1:
        raise BadInput(f"attempt: {asked.attempt} is none; they count from 1")
    attempt = attempt_of(job, asked.attempt)
    of = format_job_id(job.id)
    request.target = f"{of} at {asked.at}"
    new = await services.forker.fork(job, attempt, asked.at, asked.module)
    request.target = f"{format_job_id(new.id)} from {of} at {asked.at}"
    return Reply(_encode(new_view(new)))

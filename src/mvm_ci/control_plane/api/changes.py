"""The routes that change jobs: one by its id, or many by ids or filter."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from mvm_ci.control_plane.api.jobs import find, job_id_of
from mvm_ci.control_plane.api.requests import Request
from mvm_ci.control_plane.api.routes import Handler, Reply
from mvm_ci.control_plane.api.selection import job_filter, parse_id
from mvm_ci.control_plane.api.services import Services
from mvm_ci.domain.errors import BadInput, Conflict
from mvm_ci.domain.ids import JobId, format_job_id
from mvm_ci.domain.job import FINAL, Event, sources
from mvm_ci.ports.job_queue import Change, Changed
from mvm_ci.serving.bodies import decode
from mvm_ci.wire import api

MOST: Final = 10_000
"""Jobs that one request changes."""
_SHOWN: Final = 100
_decode_bulk: Final = msgspec.json.Decoder(api.BulkRequest)
_encode = msgspec.json.Encoder().encode

Carry = Callable[[Services, Sequence[JobId]], Awaitable[list[str]]]
"""Changes jobs; what became of each."""
_LEGAL: Final = {
    "cancel": sources(Event.CANCEL),
    "pause": sources(Event.PAUSE),
    "resume": sources(Event.RESUME),
    "retry": sources(Event.REVIVE),
    "delete": tuple(FINAL),
}


async def cancel(services: Services, request: Request) -> Reply:
    """Asks for a job's end."""
    job = await find(services, request, job_id_of(request))
    (result,) = await services.changer.cancel([job.id])
    return Reply(_encode(api.CancelView(id=format_job_id(job.id), cancelled=result.cancelled.value)))


async def _cancel_many(services: Services, jobs: Sequence[JobId]) -> list[str]:
    return [result.cancelled.value for result in await services.changer.cancel(jobs)]


async def _pause(services: Services, jobs: Sequence[JobId]) -> list[str]:
    return _words(await services.changer.pause(jobs))


async def _resume(services: Services, jobs: Sequence[JobId]) -> list[str]:
    return _words(await services.changer.resume(jobs))


async def _retry(services: Services, jobs: Sequence[JobId]) -> list[str]:
    return _words(await services.changer.revive(jobs))


async def _delete(services: Services, jobs: Sequence[JobId]) -> list[str]:
    return _words(await services.changer.delete(jobs))


def _words(results: Sequence[Changed]) -> list[str]:
    return [result.change.value for result in results]


def _one(carry: Carry, rule: str) -> Handler:
    async def handler(services: Services, request: Request) -> Reply:
        job = await find(services, request, job_id_of(request))
        (change,) = await carry(services, [job.id])
        if change == Change.REFUSED:
            raise Conflict(f"job {format_job_id(job.id)} is {job.state.label}: {rule}")
        return Reply(_encode(api.ChangeView(id=format_job_id(job.id), change=change)))

    return handler


def _many(carry: Carry, verb: str) -> Handler:
    async def handler(services: Services, request: Request) -> Reply:
        asked = decode(_decode_bulk, request.body)
        jobs, complete = await _selected(services, request, asked, verb)
        request.target = f"{len(jobs)} jobs (dry run)" if asked.dry_run else f"{len(jobs)} jobs"
        changes = ["selected"] * len(jobs) if asked.dry_run else await carry(services, jobs)
        shown = tuple(
            api.ChangeView(id=format_job_id(job), change=change)
            for job, change in list(zip(jobs, changes, strict=True))[:_SHOWN]
        )
        return Reply(_encode(api.BulkResult(counts=dict(Counter(changes)), jobs=shown, complete=complete)))

    return handler


pause = _one(_pause, "only a job that has not ended can be paused")
resume = _one(_resume, "only a paused job can be resumed")
retry = _one(_retry, "only a failed, cancelled or dead job can be tried again")
delete = _one(_delete, "only a job that has ended, and that no other one waits for, can be deleted")
cancel_many = _many(_cancel_many, "cancel")
pause_many = _many(_pause, "pause")
resume_many = _many(_resume, "resume")
retry_many = _many(_retry, "retry")
delete_many = _many(_delete, "delete")


async def _selected(
    services: Services, request: Request, asked: api.BulkRequest, verb: str
) -> tuple[list[JobId], bool]:
    """The jobs that are meant, and whether these are all."""
    if (asked.filter is None) == (not asked.ids):
        raise BadInput("give either ids or a filter: which jobs are meant? {} as a filter means all")
    if asked.filter is None:
        if len(asked.ids) > MOST:
            raise BadInput(f"ids: {len(asked.ids)} jobs; at most {MOST} a request are allowed")
        ids = list(dict.fromkeys(parse_id(text, f"ids[{at}]") for at, text in enumerate(asked.ids)))
        found = await services.reads.get(ids)
        own = (job for job in found if job is not None and job.options.lane.namespace == request.namespace)
        return [job.id for job in own], True
    which = job_filter(asked.filter, request.namespace)
    # What is not in a state for it would be refused, one by one.
    legal = set(_LEGAL[verb])
    states = legal & set(which.states) if which.states else legal
    if not states:
        return [], True
    which = msgspec.structs.replace(which, states=tuple(sorted(states)))
    jobs = await services.queue.list_jobs(which, MOST + 1)
    return [job.id for job in jobs[:MOST]], len(jobs) <= MOST

"""The routes of jobs."""

from typing import Final

import msgspec

from mvm_ci.control_plane.api.logs import follow, until_now
from mvm_ci.control_plane.api.requests import Request, decode
from mvm_ci.control_plane.api.routes import BYTES, JSON, Reply, Stream
from mvm_ci.control_plane.api.services import Services
from mvm_ci.control_plane.api.views import completed_view, end_view, is_json, job_view
from mvm_ci.domain.errors import BadInput, Conflict, NotFound
from mvm_ci.domain.ids import JobId, format_job_id, job_id_range, parse_job_id
from mvm_ci.domain.job import AT_REST, Job, JobState
from mvm_ci.domain.payload import BlobRef
from mvm_ci.lifecycle.cancel import cancel as cancel_job
from mvm_ci.lifecycle.journal_view import journal_entries, journal_length
from mvm_ci.wire import api

DEFAULT_LIMIT: Final = 100
DEFAULT_ENTRIES: Final = 1_000

_submit_jobs = msgspec.json.Decoder(api.SubmitJobs)
_encode = msgspec.json.Encoder().encode
_STATES: Final = {state.label: state for state in JobState}


async def submit(services: Services, request: Request) -> Reply:
    """All jobs or none; with ``wait_s`` answered when they have ended."""
    asked = decode(_submit_jobs, request.body)
    if not 0 <= asked.wait_s <= api.MAX_WAIT_S:
        raise BadInput(f"wait_s: {asked.wait_s} is not between 0 and {api.MAX_WAIT_S:g}")
    specs = await services.submitter.check(asked.jobs)
    new, durable = services.submitter.hand_over(specs)
    request.target = f"{len(new)} jobs from {format_job_id(new[0].id)}"
    if not asked.wait_s:
        await durable
        views = [
            api.JobView(id=format_job_id(job.id), state="pending" if job.session is None else "claimed")
            for job in new
        ]
        return Reply(_encode(api.Submitted(jobs=tuple(views))))
    ids = [job.id for job in new]
    with services.waiters.expect(ids) as ends:
        await durable
        services.trail.record_soon(request)
        await ends.wait(asked.wait_s)
        results = ends.results
    rest = [job for job in ids if job not in results]
    found = dict(zip(rest, await services.reads.get(rest), strict=True)) if rest else {}
    shown = tuple(
        completed_view(job, results[job]) if job in results else end_view(job, found[job]) for job in ids
    )
    return Reply(_encode(api.Submitted(jobs=shown)))


async def show(services: Services, request: Request) -> Reply:
    """One job, at once or when it has ended."""
    return await _show(services, request, request.query.get("wait_s", 0.0))


async def wait(services: Services, request: Request) -> Reply:
    """One job when it has ended, or as it is after the time."""
    return await _show(services, request, request.query.get("timeout_s", api.MAX_WAIT_S))


async def _show(services: Services, request: Request, wait_s: float) -> Reply:
    job_id = _job_id(request)
    job = await find(services, job_id)
    if wait_s and job.state not in AT_REST:
        with services.waiters.expect([job_id]) as ends:
            # Again, now that the end cannot be missed any more.
            job = await find(services, job_id)
            if job.state not in AT_REST:
                await ends.wait(wait_s)
                job = await find(services, job_id)
    return Reply(_encode(job_view(job, services.sessions)))


async def listing(services: Services, request: Request) -> Reply:
    """A page of jobs, newest first."""
    query = request.query
    limit: int = query.get("limit", DEFAULT_LIMIT)
    before = _parse(query["cursor"], "cursor") if "cursor" in query else None
    after: JobId | None = None
    if query.get("prefix"):
        try:
            after, last = job_id_range(query["prefix"])
        except ValueError:
            raise BadInput(f"prefix: no job id begins with {query['prefix'][:80]!r}") from None
        before = min(before, JobId(last + 1)) if before is not None else JobId(last + 1)
    # One more than asked for: whether there is a next page.
    jobs = await services.queue.list_jobs(
        states=_states(query.get("state", "")), before=before, after=after, limit=limit + 1
    )
    page = jobs[:limit]
    cursor = format_job_id(page[-1].id) if len(jobs) > limit else None
    shown = tuple(job_view(job, services.sessions) for job in page)
    return Reply(_encode(api.JobList(jobs=shown, cursor=cursor)))


async def result(services: Services, request: Request) -> Reply:
    """The result's bytes."""
    job = await find(services, _job_id(request))
    if job.result is None:
        raise Conflict(f"job {format_job_id(job.id)} is {job.state.label}: it has no result")
    data = await services.blobs.get(job.result.digest) if isinstance(job.result, BlobRef) else job.result
    return Reply(data, JSON if is_json(data) else BYTES)


async def logs(services: Services, request: Request) -> Stream:
    """Log lines, to the present end or as they come."""
    query = request.query
    job = await find(services, _job_id(request))
    start = (query.get("attempt", 1), query.get("from", 0))
    if query.get("follow"):
        return Stream(follow(services, job.id, start))
    return Stream(until_now(services, job, start))


async def cancel(services: Services, request: Request) -> Reply:
    """Asks for a job's end."""
    job_id = _job_id(request)
    result = await cancel_job(services.queue, services.dispatcher, services.waiters, services.clock, job_id)
    return Reply(_encode(api.CancelView(id=format_job_id(job_id), cancelled=result.value)))


async def journal(services: Services, request: Request) -> Reply:
    """A part of a journal, in words."""
    job = await find(services, _job_id(request))
    attempt: int = request.query.get("attempt", job.attempt)
    if attempt > job.attempt:
        raise NotFound(
            f"job {format_job_id(job.id)} has had {job.attempt} attempts; there is no attempt {attempt}"
        )
    first, limit = request.query.get("from", 0), request.query.get("limit", DEFAULT_ENTRIES)
    entries = await journal_entries(services.queue, job.id, attempt, first, limit)
    length = job.journal_length
    if attempt < job.attempt:
        length = await journal_length(services.queue, job.id, attempt)
    view = api.JournalView(job=format_job_id(job.id), attempt=attempt, length=length, entries=entries)
    return Reply(_encode(view))


async def find(services: Services, job_id: JobId) -> Job:
    """The job as it is. Raises ``NotFound``."""
    (job,) = await services.reads.get([job_id])
    if job is None:
        raise NotFound(f"there is no job {format_job_id(job_id)}")
    return job


def _job_id(request: Request) -> JobId:
    return _parse(request.params["id"], "id")


def _parse(text: str, where: str) -> JobId:
    try:
        return parse_job_id(text)
    except ValueError:
        raise BadInput(f"{where}: {text[:80]!r} is not a job id (j and 13 characters)") from None


def _states(text: str) -> list[JobState]:
    states = []
    for name in filter(None, text.split(",")):
        state = _STATES.get(name)
        if state is None:
            raise BadInput(f"state: {name[:80]!r} is none; there are: {', '.join(_STATES)}")
        states.append(state)
    return states

"""The routes of jobs."""

from typing import Final
from urllib.parse import unquote

import msgspec

from mvm_ci.control_plane.api.logs import asked_range, first_position, follow, until_now
from mvm_ci.control_plane.api.requests import Request
from mvm_ci.control_plane.api.routes import BYTES, JSON, Reply, Stream
from mvm_ci.control_plane.api.selection import job_filter, narrowed, parse_id
from mvm_ci.control_plane.api.services import Services
from mvm_ci.control_plane.api.views import completed_view, end_view, job_view, new_view
from mvm_ci.domain.errors import BadInput, Conflict, NotFound
from mvm_ci.domain.ids import JobId, format_job_id, job_id_range
from mvm_ci.domain.job import AT_REST, Job
from mvm_ci.domain.payload import BlobRef, is_json
from mvm_ci.serving.bodies import decode
from mvm_ci.wire import api

DEFAULT_LIMIT: Final = 100

_submit_jobs = msgspec.json.Decoder(api.SubmitJobs)
_encode = msgspec.json.Encoder().encode


async def submit(services: Services, request: Request) -> Reply:
    """All jobs or none; with ``wait_s`` answered when they have ended."""
    asked = decode(_submit_jobs, request.body)
    if not 0 <= asked.wait_s <= api.MAX_WAIT_S:
        raise BadInput(f"wait_s: {asked.wait_s} is not between 0 and {api.MAX_WAIT_S:g}")
    checked = await services.submitter.check(asked.jobs, request.namespace)
    submission = services.submitter.hand_over(checked)
    ids = submission.jobs
    request.target = f"{len(ids)} jobs from {format_job_id(ids[0])}"
    if not asked.wait_s:
        await submission.durable
        if len(submission.new) == len(ids):
            new = submission.new.values()
            return Reply(_encode(api.Submitted(jobs=tuple(map(new_view, new)))))
        found = dict(zip(ids, await services.reads.get(ids), strict=True))
        return Reply(_encode(api.Submitted(jobs=tuple(end_view(job, found[job]) for job in ids))))
    with services.waiters.expect(submission.new) as ends:
        await submission.durable
        services.trail.record_soon(request)
        # Jobs that an idempotency key already stood for may have ended: they are not waited for here.
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
    job_id = job_id_of(request)
    job = await find(services, request, job_id)
    if wait_s and job.state not in AT_REST:
        with services.waiters.expect([job_id]) as ends:
            # Again, now that the end cannot be missed any more.
            job = await find(services, request, job_id)
            if job.state not in AT_REST:
                await ends.wait(wait_s)
                job = await find(services, request, job_id)
    after = await services.queue.dependencies(job.id)
    return Reply(_encode(job_view(job, services.sessions, after)))


async def listing(services: Services, request: Request) -> Reply:
    """A page of jobs, newest first."""
    query = request.query
    limit: int = query.get("limit", DEFAULT_LIMIT)
    selection = api.JobSelection(
        states=_words(query.get("state", "")),
        queue=query.get("queue"),
        module=query.get("module"),
        name=query.get("name"),
        tags=tuple(map(unquote, _words(query.get("tags", "")))),
        created_from_ms=query.get("created_from_ms"),
        created_before_ms=query.get("created_before_ms"),
    )
    which = job_filter(selection, request.namespace)
    if "cursor" in query:
        which = narrowed(which, before=parse_id(query["cursor"], "cursor"))
    if query.get("prefix"):
        try:
            first, last = job_id_range(query["prefix"])
        except ValueError:
            raise BadInput(f"prefix: no job id begins with {query['prefix'][:80]!r}") from None
        which = narrowed(which, before=JobId(last + 1), after=first)
    # One more than asked for: whether there is a next page.
    jobs = await services.queue.list_jobs(which, limit + 1)
    page = jobs[:limit]
    cursor = format_job_id(page[-1].id) if len(jobs) > limit else None
    shown = tuple(job_view(job, services.sessions) for job in page)
    return Reply(_encode(api.JobList(jobs=shown, cursor=cursor)))


async def result(services: Services, request: Request) -> Reply:
    """The result's bytes."""
    job = await find(services, request, job_id_of(request))
    if job.result is None:
        raise Conflict(f"job {format_job_id(job.id)} is {job.state.label}: it has no result")
    data = await services.blobs.get(job.result.digest) if isinstance(job.result, BlobRef) else job.result
    return Reply(data, JSON if is_json(data) else BYTES)


async def logs(services: Services, request: Request) -> Stream:
    """Log lines, to the present end or as they come."""
    follows: bool = request.query.get("follow", False)
    asked = asked_range(request.query, follows=follows)
    job = await find(services, request, job_id_of(request))
    start = await first_position(services, job, asked)
    if follows:
        return Stream(follow(services, job.id, start))
    return Stream(until_now(services, job, start, asked))


async def explain(services: Services, request: Request) -> Reply:
    """What keeps a job waiting."""
    job = await find(services, request, job_id_of(request))
    reasons, ahead = await services.explainer.explain(job)
    shown = api.Explanation(
        id=format_job_id(job.id), state=job.state.label, reasons=tuple(reasons), ahead=ahead
    )
    return Reply(_encode(shown))


async def find(services: Services, request: Request, job_id: JobId) -> Job:
    """The job as it is. Raises ``NotFound``, also if it is another namespace's."""
    (job,) = await services.reads.get([job_id])
    if job is None or job.options.lane.namespace != request.namespace:
        raise NotFound(f"there is no job {format_job_id(job_id)}")
    return job


def job_id_of(request: Request) -> JobId:
    """The id in the path. Raises ``BadInput``."""
    return parse_id(request.params["id"], "id")


def _words(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))

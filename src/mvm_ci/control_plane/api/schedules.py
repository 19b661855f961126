"""The routes of schedules."""

from typing import Final

import msgspec

from mvm_ci.control_plane.api.requests import Request
from mvm_ci.control_plane.api.routes import Reply
from mvm_ci.control_plane.api.services import Services
from mvm_ci.domain.ids import format_job_id
from mvm_ci.domain.schedule import Schedule, fire_ms
from mvm_ci.lifecycle.schedules import job_of
from mvm_ci.serving.bodies import decode
from mvm_ci.wire import api

DEFAULT_LIMIT: Final = 100
DEFAULT_TIMES: Final = 5

_put = msgspec.json.Decoder(api.PutSchedule)
_backfill = msgspec.json.Decoder(api.Backfill)
_encode = msgspec.json.Encoder().encode


async def put(services: Services, request: Request) -> Reply:
    """Makes or changes a schedule."""
    asked = decode(_put, request.body)
    return _shown(await services.schedules.put(request.namespace, request.params["name"], asked))


async def show(services: Services, request: Request) -> Reply:
    """One schedule."""
    return _shown(await services.schedules.get(request.namespace, request.params["name"]))


async def listing(services: Services, request: Request) -> Reply:
    """A page of schedules, by name."""
    limit: int = request.query.get("limit", DEFAULT_LIMIT)
    # One more than asked for: whether there is a next page.
    found = await services.schedules.page(request.namespace, request.query.get("cursor", ""), limit + 1)
    cursor = found[limit - 1].name if len(found) > limit else None
    views = tuple(_view(schedule) for schedule in found[:limit])
    return Reply(_encode(api.ScheduleList(schedules=views, cursor=cursor)))


async def remove(services: Services, request: Request) -> Reply:
    """Removes a schedule."""
    name = request.params["name"]
    await services.schedules.remove(request.namespace, name)
    return Reply(_encode(api.Removed(name=name)))


async def pause(services: Services, request: Request) -> Reply:
    """Stops a schedule for now."""
    return _shown(await services.schedules.pause(request.namespace, request.params["name"]))


async def resume(services: Services, request: Request) -> Reply:
    """Lets a schedule go on."""
    return _shown(await services.schedules.resume(request.namespace, request.params["name"]))


async def trigger(services: Services, request: Request) -> Reply:
    """Submits a schedule's job now."""
    job = await services.schedules.trigger(request.namespace, request.params["name"])
    return Reply(_encode(api.Triggered(job=format_job_id(job))))


async def backfill(services: Services, request: Request) -> Reply:
    """Submits a schedule's jobs for times in the past."""
    asked = decode(_backfill, request.body)
    times, jobs = await services.schedules.backfill(
        request.namespace, request.params["name"], asked.from_ms, asked.to_ms, dry_run=asked.dry_run
    )
    return Reply(_encode(api.Backfilled(times_ms=times, jobs=tuple(map(format_job_id, jobs)))))


async def coming(services: Services, request: Request) -> Reply:
    """The next times of a schedule."""
    schedule = await services.schedules.get(request.namespace, request.params["name"])
    times = await services.schedules.times(schedule, request.query.get("count", DEFAULT_TIMES))
    fires = tuple(fire_ms(schedule, at_ms) for at_ms in times)
    return Reply(_encode(api.ScheduleTimes(times_ms=times, fires_ms=fires)))


def _shown(schedule: Schedule) -> Reply:
    return Reply(_encode(_view(schedule)))


def _view(schedule: Schedule) -> api.ScheduleView:
    return api.ScheduleView(
        name=schedule.name,
        when=schedule.when,
        time_zone=schedule.time_zone,
        jitter_s=schedule.jitter_ms / 1000,
        catch_up=schedule.catch_up,
        overlap=schedule.overlap,
        job=job_of(schedule),
        paused=schedule.paused,
        created_ms=schedule.created_ms,
        next_ms=schedule.next_ms,
        waiting_ms=schedule.waiting,
        last_fire_ms=schedule.last_fire_ms,
        last_job=None if schedule.last_job is None else format_job_id(schedule.last_job),
        fires=schedule.fires,
        skipped=schedule.skipped,
        last_error=schedule.last_error or None,
        last_error_ms=schedule.last_error_ms,
    )

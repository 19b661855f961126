"""The table of routes: schedules."""

from typing import Final

from mvm_ci.control_plane.api import schedules
from mvm_ci.control_plane.api.routes import Body, Kind, Query, Route
from mvm_ci.domain.role import Role
from mvm_ci.wire import api

_JSON: Final = 64 << 10
"""Bytes of a request body that is not a submission."""

ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/schedules",
        role=Role.VIEWER,
        handler=schedules.listing,
        summary="Schedules, by name.",
        answer=api.ScheduleList,
        query=(
            Query("limit", Kind.INTEGER, f"Schedules a page; {schedules.DEFAULT_LIMIT} if left out.", 1, 100),
            Query("cursor", Kind.TEXT, "The cursor of the page before."),
        ),
    ),
    Route(
        method="PUT",
        path="/v1/schedules/{name}",
        audit="schedule.put",
        role=Role.SUBMITTER,
        handler=schedules.put,
        summary="Make a schedule, or give the one of this name a new definition.",
        body=Body(_JSON, api.PutSchedule),
        answer=api.ScheduleView,
        errors=(409,),
    ),
    Route(
        method="GET",
        path="/v1/schedules/{name}",
        role=Role.VIEWER,
        handler=schedules.show,
        summary="A schedule.",
        answer=api.ScheduleView,
    ),
    Route(
        method="DELETE",
        path="/v1/schedules/{name}",
        audit="schedule.delete",
        role=Role.SUBMITTER,
        handler=schedules.remove,
        summary="Remove a schedule; its jobs go on.",
        answer=api.Removed,
    ),
    Route(
        method="POST",
        path="/v1/schedules/{name}/pause",
        audit="schedule.pause",
        role=Role.SUBMITTER,
        handler=schedules.pause,
        summary="Let a schedule fire no more; a fire that waits is dropped.",
        answer=api.ScheduleView,
        errors=(409,),
    ),
    Route(
        method="POST",
        path="/v1/schedules/{name}/resume",
        audit="schedule.resume",
        role=Role.SUBMITTER,
        handler=schedules.resume,
        summary="Let a schedule fire again, from its next time on.",
        answer=api.ScheduleView,
        errors=(409,),
    ),
    Route(
        method="POST",
        path="/v1/schedules/{name}/trigger",
        audit="schedule.trigger",
        role=Role.SUBMITTER,
        handler=schedules.trigger,
        summary="Submit a schedule's job now, whatever else runs.",
        answer=api.Triggered,
        errors=(409,),
    ),
    Route(
        method="POST",
        path="/v1/schedules/{name}/backfill",
        audit="schedule.backfill",
        role=Role.SUBMITTER,
        handler=schedules.backfill,
        summary="Submit a schedule's job for each of its times in a part of the past, all or none; "
        "dry_run: only say which.",
        body=Body(_JSON, api.Backfill),
        answer=api.Backfilled,
    ),
    Route(
        method="GET",
        path="/v1/schedules/{name}/next",
        role=Role.VIEWER,
        handler=schedules.coming,
        summary="The next times of a schedule.",
        answer=api.ScheduleTimes,
        query=(Query("count", Kind.INTEGER, f"Times; {schedules.DEFAULT_TIMES} if left out.", 1, 100),),
    ),
)

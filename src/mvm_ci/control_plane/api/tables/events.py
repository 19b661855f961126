"""The table of routes: events."""

from typing import Final

from mvm_ci.control_plane.api import events
from mvm_ci.control_plane.api.routes import EVENT_STREAM, JOB_ID, Kind, Query, Route
from mvm_ci.domain.role import Role
from mvm_ci.wire import api

_KINDS: Final = "|".join(events.KINDS)

ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/events",
        role=Role.VIEWER,
        handler=events.stream,
        summary="What happens to jobs, as server-sent events: data is an EventView, id its number. Goes on "
        "after Last-Event-ID, if that is sent; a comment every 15 s breaks the silence.",
        answer=api.EventView,
        media=EVENT_STREAM,
        query=(
            Query("after", Kind.INTEGER, "Begin after the event of this number; left out: with what comes."),
            Query("job", Kind.TEXT, "Only events of this job.", pattern=JOB_ID),
            Query(
                "kind",
                Kind.TEXT,
                "Only events of these kinds (comma-separated); restarted and gap come always.",
                pattern=f"^(({_KINDS})(,({_KINDS}))*)?$",
            ),
            Query("follow", Kind.FLAG, "0: end after what there is; 1 if left out."),
        ),
    ),
)

"""A schedule as people see it."""

from typing import TYPE_CHECKING

from mvm_ci.cli import output

if TYPE_CHECKING:
    from mvm_ci.wire.api import ScheduleView


def print_schedule(view: "ScheduleView") -> None:
    """Its fields, one a line."""
    output.print_fields(
        (
            ("name", view.name),
            ("when", view.when),
            ("time zone", view.time_zone),
            ("jitter", f"{view.jitter_s:g} s" if view.jitter_s else None),
            ("catch-up", view.catch_up.value),
            ("overlap", view.overlap.value),
            ("module", view.job.module),
            ("input", bytes(view.job.input).decode(errors="replace")),
            ("state", state(view)),
            ("next", output.when(view.next_ms)),
            ("last fire", output.when(view.last_fire_ms)),
            ("last job", view.last_job),
            ("fires", view.fires),
            ("skipped", view.skipped or None),
            ("error", error(view)),
        )
    )


def state(view: "ScheduleView") -> str:
    """One word."""
    if view.paused:
        return "paused"
    return "waiting" if view.waiting_ms else "active"


def error(view: "ScheduleView") -> str | None:
    """Why its last fire made no job."""
    return f"{output.when(view.last_error_ms)}: {view.last_error}" if view.last_error else None

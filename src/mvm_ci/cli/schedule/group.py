"""``mvm-ci schedule``: the table of its commands."""

import click

from mvm_ci.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "create": Lazy(
        "mvm_ci.cli.schedule.create", "create", "Create a schedule, or change the one of this name."
    ),
    "list": Lazy("mvm_ci.cli.schedule.list", "list_schedules", "List schedules."),
    "show": Lazy("mvm_ci.cli.schedule.show", "show", "Show one schedule."),
    "next": Lazy("mvm_ci.cli.schedule.next", "next_times", "Show the next times of a schedule."),
    "pause": Lazy("mvm_ci.cli.schedule.pause", "pause", "Let a schedule fire no more."),
    "resume": Lazy(
        "mvm_ci.cli.schedule.resume", "resume", "Let a schedule fire again, from its next time on."
    ),
    "trigger": Lazy(
        "mvm_ci.cli.schedule.trigger", "trigger", "Submit the job of a schedule now; print its id."
    ),
    "backfill": Lazy("mvm_ci.cli.schedule.backfill", "backfill", "Submit jobs for times in the past."),
    "delete": Lazy("mvm_ci.cli.schedule.delete", "delete", "Delete a schedule; its jobs go on."),
}


@click.command(cls=LazyGroup, lazy=COMMANDS)
def schedule() -> None:
    """Submit jobs at set times, again and again."""

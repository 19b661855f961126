"""``mvm-ci queue``: the table of its commands."""

import click

from mvm_ci.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "list": Lazy(
        "mvm_ci.cli.queue.list", "list_queues", "List the queues that are paused or have ready jobs."
    ),
    "pause": Lazy(
        "mvm_ci.cli.queue.pause", "pause", "Give nothing of a queue to workers; what runs goes on."
    ),
    "resume": Lazy("mvm_ci.cli.queue.resume", "resume", "Let a queue go on."),
}


@click.command(cls=LazyGroup, lazy=COMMANDS)
def queue() -> None:
    """List, pause and resume queues.

    A queue need not be made: the jobs that name it are what it holds.
    """

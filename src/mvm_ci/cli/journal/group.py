"""``mvm-ci journal``: the table of its commands."""

import click

from mvm_ci.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "show": Lazy("mvm_ci.cli.journal.show", "show", "Show the journal of a job: what it did, where."),
}


@click.command(cls=LazyGroup, lazy=COMMANDS)
def journal() -> None:
    """Look at what jobs did."""

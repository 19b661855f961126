"""``mvm-ci backup``: the table of its commands."""

import click

from mvm_ci.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "create": Lazy(
        "mvm_ci.cli.backup.create",
        "create",
        "Write the control plane's state to a file, also while it serves.",
    ),
    "verify": Lazy("mvm_ci.cli.backup.verify", "verify", "Read a whole backup and check it."),
    "restore": Lazy("mvm_ci.cli.backup.restore", "restore", "Make a new state directory from a backup."),
}


@click.command(cls=LazyGroup, lazy=COMMANDS)
def backup() -> None:
    """Back up a control plane's state on its machine, and restore it."""

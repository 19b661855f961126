"""``mvm-ci config``: the table of its commands."""

import click

from mvm_ci.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "show": Lazy("mvm_ci.cli.config.show", "show", "Show every setting and where its value comes from."),
}


@click.command(cls=LazyGroup, lazy=COMMANDS)
def config() -> None:
    """Look at the settings."""

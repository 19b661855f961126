"""``mvm-ci module``: the table of its commands."""

import click

from mvm_ci.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "push": Lazy("mvm_ci.cli.module.push", "push", "Store a module; print its digest."),
    "list": Lazy("mvm_ci.cli.module.list", "list_modules", "List modules, newest first."),
}


@click.command(cls=LazyGroup, lazy=COMMANDS)
def module() -> None:
    """Push and list modules."""

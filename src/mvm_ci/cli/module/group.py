"""``mvm-ci module``: the table of its commands."""

import click

from mvm_ci.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "push": Lazy("mvm_ci.cli.module.push", "push", "Store a module; print its digest."),
    "list": Lazy("mvm_ci.cli.module.list", "list_modules", "List modules, newest first."),
    "versions": Lazy(
        "mvm_ci.cli.module.versions", "versions", "List names of modules, or a name's versions."
    ),
    "delete": Lazy("mvm_ci.cli.module.delete", "delete", "Delete a version of a name, or a module."),
}


@click.command(cls=LazyGroup, lazy=COMMANDS)
def module() -> None:
    """Push modules, publish versions, list them."""

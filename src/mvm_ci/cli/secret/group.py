"""``mvm-ci secret``: the table of its commands."""

import click

from mvm_ci.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "set": Lazy("mvm_ci.cli.secret.set", "set_secret", "Make a secret, or give it a new value."),
    "rotate": Lazy("mvm_ci.cli.secret.rotate", "rotate", "Give a secret that there is a new value."),
    "allow": Lazy("mvm_ci.cli.secret.allow", "allow", "Say whose jobs may read a secret from now on."),
    "list": Lazy("mvm_ci.cli.secret.list", "list_secrets", "List secrets, without their values."),
    "show": Lazy("mvm_ci.cli.secret.show", "show", "Show a secret, without its value."),
    "rm": Lazy("mvm_ci.cli.secret.rm", "rm", "Remove a secret with all its versions."),
}


@click.command(cls=LazyGroup, lazy=COMMANDS)
def secret() -> None:
    """Keep secrets, and say whose jobs may read them."""

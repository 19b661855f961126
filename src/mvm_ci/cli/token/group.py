"""``mvm-ci token``: the table of its commands."""

import click

from mvm_ci.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "create": Lazy("mvm_ci.cli.token.create", "create", "Create an API token and print it, this once."),
    "list": Lazy("mvm_ci.cli.token.list", "list_tokens", "List API tokens, without their secrets."),
    "revoke": Lazy("mvm_ci.cli.token.revoke", "revoke", "Refuse an API token from now on, for good."),
}


@click.command(cls=LazyGroup, lazy=COMMANDS)
def token() -> None:
    """Create, list and revoke API tokens."""

"""``mvm-ci join-token``: the table of its commands."""

import click

from mvm_ci.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "create": Lazy("mvm_ci.cli.join_token.create", "create", "Create a join token and print it, this once."),
    "list": Lazy(
        "mvm_ci.cli.join_token.list", "list_join_tokens", "List join tokens, without their secrets."
    ),
    "revoke": Lazy("mvm_ci.cli.join_token.revoke", "revoke", "Let nobody join with a join token any more."),
}


@click.command(cls=LazyGroup, lazy=COMMANDS)
def join_token() -> None:
    """Create, list and revoke permissions to become a worker."""

"""``mvm-ci join-token revoke``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import JoinTokenView


@click.command()
@click.argument("token")
@client_options
def revoke(*, token: str, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Let nobody join with a join token any more.

    Workers that joined with it stay. TOKEN is its id or its name, not its secret.
    """
    from mvm_ci.cli import output
    from mvm_ci.cli.naming import find_join_token

    async def work(client: "ApiClient") -> "JoinTokenView":
        return await client.remove_join_token((await find_join_token(client, token)).id)

    view = ask(url, token_file, work)
    if as_json:
        output.print_json(output.fields(view))
    else:
        click.echo(output.safe_line(f"{view.id} {view.name}".rstrip() + ": revoked"))

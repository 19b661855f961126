"""``mvm-ci token revoke``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import TokenView


@click.command()
@click.argument("token")
@client_options
def revoke(*, token: str, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Refuse an API token from now on, for good.

    TOKEN is its name, its id or at least four characters of its beginning.
    """
    from mvm_ci.cli import output
    from mvm_ci.cli.naming import find_token

    async def work(client: "ApiClient") -> "TokenView":
        return await client.revoke_token((await find_token(client, token)).id)

    view = ask(url, token_file, work)
    if as_json:
        output.print_json(output.fields(view))
    else:
        click.echo(output.safe_line(f"{view.name} {view.id}: revoked"))

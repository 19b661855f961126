"""``mvm-ci namespace delete``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.confirm import confirm, yes_option
from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import NamespaceView


@click.command()
@click.argument("name")
@yes_option
@client_options
def delete(*, name: str, yes: bool, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Delete an empty namespace and revoke its tokens."""
    from mvm_ci.cli import output

    async def work(client: "ApiClient") -> "NamespaceView":
        return await client.delete_namespace(name)

    confirm(f"delete the namespace {name} and revoke its tokens", yes=yes)
    view = ask(url, token_file, work)
    if as_json:
        output.print_json(output.fields(view))
    else:
        click.echo(f"{view.name}: deleted")

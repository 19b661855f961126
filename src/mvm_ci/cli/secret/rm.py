"""``mvm-ci secret rm``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.confirm import confirm, yes_option
from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import SecretView


@click.command()
@click.argument("name")
@yes_option
@client_options
def rm(*, name: str, yes: bool, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Remove a secret with all its versions.

    Refused while a job names it that may go on.
    """
    from mvm_ci.cli import output

    async def work(client: "ApiClient") -> "SecretView":
        return await client.remove_secret(name)

    confirm(f"remove the secret {name}", yes=yes)
    view = ask(url, token_file, work)
    if as_json:
        output.print_json(output.fields(view))
    else:
        click.echo(f"{view.name}: removed")

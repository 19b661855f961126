"""``mvm-ci secret show``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options
from mvm_ci.cli.secret.shown import print_secret

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import SecretView


@click.command()
@click.argument("name")
@client_options
def show(*, name: str, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Show a secret, without its value."""

    async def work(client: "ApiClient") -> "SecretView":
        return await client.secret(name)

    print_secret(ask(url, token_file, work), as_json=as_json)

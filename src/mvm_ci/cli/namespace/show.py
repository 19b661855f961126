"""``mvm-ci namespace show``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.namespace.limits import print_namespace
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import NamespaceView


@click.command()
@click.argument("name")
@client_options
def show(*, name: str, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Show a namespace and its quota."""

    async def work(client: "ApiClient") -> "NamespaceView":
        return await client.show_namespace(name)

    print_namespace(ask(url, token_file, work), as_json=as_json)

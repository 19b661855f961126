"""``mvm-ci namespace list``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.namespace.limits import print_namespaces
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import NamespaceView


@click.command("list")
@client_options
def list_namespaces(*, url: str | None, token_file: str | None, as_json: bool) -> None:
    """List namespaces and their quotas."""
    from mvm_ci.cli import output

    async def work(client: "ApiClient") -> tuple["NamespaceView", ...]:
        return await client.namespaces()

    views = ask(url, token_file, work)
    if as_json:
        output.print_json({"namespaces": [output.fields(view) for view in views]})
    else:
        print_namespaces(views)

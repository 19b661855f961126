"""``mvm-ci namespace create``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.namespace.limits import Limit, number, print_namespace, quota_options
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import NamespaceView


@click.command()
@click.argument("name")
@quota_options
@client_options
def create(
    *,
    name: str,
    max_waiting: Limit,
    max_running: Limit,
    max_bytes: Limit,
    url: str | None,
    token_file: str | None,
    as_json: bool,
) -> None:
    """Create a namespace.

    NAME is 1 to 63 lower-case letters, digits and inner hyphens. What is not limited is unlimited.
    """

    async def work(client: "ApiClient") -> "NamespaceView":
        from mvm_ci.wire.api import SetQuota

        quota = SetQuota(
            max_waiting=number(max_waiting), max_running=number(max_running), max_bytes=number(max_bytes)
        )
        return await client.create_namespace(name, quota)

    print_namespace(ask(url, token_file, work), as_json=as_json)

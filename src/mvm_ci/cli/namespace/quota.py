"""``mvm-ci namespace quota``."""

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
def quota(
    *,
    name: str,
    max_waiting: Limit,
    max_running: Limit,
    max_bytes: Limit,
    url: str | None,
    token_file: str | None,
    as_json: bool,
) -> None:
    """Change the quota of a namespace.

    What is not given stays as it is. Nothing that the namespace holds already is taken away.
    """

    async def work(client: "ApiClient") -> "NamespaceView":
        from mvm_ci.wire.api import SetQuota

        present = await client.show_namespace(name)
        changed = SetQuota(
            max_waiting=present.max_waiting if max_waiting is None else number(max_waiting),
            max_running=present.max_running if max_running is None else number(max_running),
            max_bytes=present.max_bytes if max_bytes is None else number(max_bytes),
        )
        return await client.set_quota(name, changed)

    print_namespace(ask(url, token_file, work), as_json=as_json)

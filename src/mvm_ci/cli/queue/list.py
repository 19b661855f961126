"""``mvm-ci queue list``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import QueueView


@click.command("list")
@client_options
def list_queues(*, url: str | None, token_file: str | None, as_json: bool) -> None:
    """List the queues that are paused or have ready jobs."""
    from mvm_ci.cli import output

    async def work(client: "ApiClient") -> tuple["QueueView", ...]:
        return await client.queues()

    views = ask(url, token_file, work)
    if as_json:
        output.print_json({"queues": [output.fields(view) for view in views]})
        return
    output.print_table(
        ("QUEUE", "STATE"), ((view.name, "paused" if view.paused else "open") for view in views)
    )

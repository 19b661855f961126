"""``mvm-ci queue pause``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import QueueView


@click.command()
@click.argument("queue")
@client_options
def pause(*, queue: str, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Give nothing of a queue to workers; what runs goes on."""
    from mvm_ci.cli import output

    async def work(client: "ApiClient") -> "QueueView":
        return await client.pause_queue(queue)

    view = ask(url, token_file, work)
    if as_json:
        output.print_json(output.fields(view))
    else:
        click.echo(output.safe_line(f"{view.name}: {'paused' if view.paused else 'open'}"))

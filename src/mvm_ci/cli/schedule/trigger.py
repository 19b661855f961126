"""``mvm-ci schedule trigger``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient


@click.command()
@click.argument("name")
@client_options
def trigger(*, name: str, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Submit the job of a schedule now; print its id.

    Whatever else runs, and also while the schedule is paused.
    """
    from mvm_ci.cli import output

    async def work(client: "ApiClient") -> str:
        return await client.trigger_schedule(name)

    job = ask(url, token_file, work)
    if as_json:
        output.print_json({"job": job})
    else:
        click.echo(job)

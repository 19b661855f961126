"""``mvm-ci schedule resume``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import ScheduleView


@click.command()
@click.argument("name")
@client_options
def resume(*, name: str, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Let a schedule fire again, from its next time on."""
    from mvm_ci.cli import output
    from mvm_ci.cli.schedule.showing import print_schedule

    async def work(client: "ApiClient") -> "ScheduleView":
        return await client.resume_schedule(name)

    view = ask(url, token_file, work)
    if as_json:
        output.print_json(output.fields(view))
    else:
        print_schedule(view)

"""``mvm-ci schedule list``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import ScheduleView


@click.command("list")
@client_options
def list_schedules(*, url: str | None, token_file: str | None, as_json: bool) -> None:
    """List schedules."""
    from mvm_ci.cli import output
    from mvm_ci.cli.schedule.showing import error, state

    async def work(client: "ApiClient") -> list["ScheduleView"]:
        page = await client.schedules()
        found = list(page.schedules)
        while page.cursor is not None:
            page = await client.schedules(cursor=page.cursor)
            found += page.schedules
        return found

    views = ask(url, token_file, work)
    if as_json:
        output.print_json({"schedules": [output.fields(view) for view in views]})
        return
    output.print_table(
        ("NAME", "WHEN", "ZONE", "STATE", "NEXT", "LAST JOB", "FIRES", "ERROR"),
        (
            (
                view.name,
                view.when,
                view.time_zone,
                state(view),
                output.local(view.next_ms),
                view.last_job,
                view.fires,
                error(view),
            )
            for view in views
        ),
        cut=("NAME", "WHEN", "ERROR"),
    )

"""``mvm-ci schedule next``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import ScheduleTimes


@click.command("next")
@click.argument("name")
@click.option("--count", type=click.IntRange(1, 100), default=5, show_default=True, help="How many.")
@client_options
def next_times(*, name: str, count: int, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Show the next times of a schedule.

    Without its jitter, and when it fires with it.
    """
    from mvm_ci.cli import output

    async def work(client: "ApiClient") -> "ScheduleTimes":
        return await client.schedule_times(name, count)

    times = ask(url, token_file, work)
    if as_json:
        output.print_json(output.fields(times))
        return
    output.print_table(
        ("TIME", "FIRES"),
        (
            (output.when(at_ms), output.when(fires_ms))
            for at_ms, fires_ms in zip(times.times_ms, times.fires_ms, strict=True)
        ),
    )

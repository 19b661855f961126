"""``mvm-ci schedule backfill``."""

from datetime import datetime
from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import Backfilled


def _as_ms(ctx: click.Context, param: click.Parameter, value: str) -> int:
    try:
        return round(datetime.fromisoformat(value).timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(f"{value!r} is no time such as 2026-03-01T09:00+01:00", ctx, param) from None


@click.command()
@click.argument("name")
@click.option("--from", "from_ms", required=True, callback=_as_ms, metavar="TIME", help="The first time.")
@click.option(
    "--to", "to_ms", required=True, callback=_as_ms, metavar="TIME", help="Up to this time, without it."
)
@click.option("--dry-run", is_flag=True, help="Only say which times those are.")
@client_options
def backfill(
    *,
    name: str,
    from_ms: int,
    to_ms: int,
    dry_run: bool,
    url: str | None,
    token_file: str | None,
    as_json: bool,
) -> None:
    """Submit jobs for times in the past.

    One for each time that the schedule has between two TIMEs: 2026-03-01, 2026-03-01T09:00 (of this machine's
    clock) or 2026-03-01T09:00Z. All or none, at once, whatever else runs; the same again makes no more jobs.
    """
    from mvm_ci.cli import output

    async def work(client: "ApiClient") -> "Backfilled":
        return await client.backfill_schedule(name, from_ms, to_ms, dry_run=dry_run)

    done = ask(url, token_file, work)
    if as_json:
        output.print_json(output.fields(done))
        return
    jobs = done.jobs or ("-",) * len(done.times_ms)
    output.print_table(
        ("TIME", "JOB"), zip((output.when(at_ms) for at_ms in done.times_ms), jobs, strict=True)
    )

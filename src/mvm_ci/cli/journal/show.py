"""``mvm-ci journal show``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient


@click.command()
@click.argument("job")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended, over later attempts.")
@click.option(
    "--attempt", type=click.IntRange(1), metavar="N", help="Of which attempt.  [default: the present one]"
)
@click.option("--from", "first", type=click.IntRange(0), metavar="N", help="The entry to begin with.")
@click.option("--to", type=click.IntRange(0), metavar="N", help="Stop before this entry.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Show so many entries at most.")
@click.option("-n", "--tail", type=click.IntRange(1), metavar="N", help="Show the newest so many entries.")
@click.option("--full", is_flag=True, help="Cut nothing off, and show all fields of each entry.")
@client_options
def show(  # noqa: PLR0913 - one parameter per option
    *,
    job: str,
    follow: bool,
    attempt: int | None,
    first: int | None,
    to: int | None,
    limit: int | None,
    tail: int | None,
    full: bool,
    url: str | None,
    token_file: str | None,
    as_json: bool,
) -> None:
    """Show the journal of a job: what it did, where.

    An entry is what the job learned from outside at once, with its number, by which --from and --to count.
    A Placement says which worker wrote from there on. With --json each entry is one JSON object.
    """
    from mvm_ci.cli.exits import JobFailed
    from mvm_ci.cli.journal.table import JournalTable, print_entry
    from mvm_ci.cli.naming import find_job
    from mvm_ci.wire.api import DAMAGE, LogRange

    which = LogRange(attempt=attempt, first=first, to=to, limit=limit, tail=tail)

    async def work(client: "ApiClient") -> None:
        found = await find_job(client, job)
        shown = print_entry if as_json else JournalTable(full=full).add
        damage = ""
        async for entry in client.journal(found, which, wait=follow):
            shown(entry)
            damage = entry.summary if entry.kind == DAMAGE else ""
        if damage:
            raise JobFailed(f"the journal of job {found} is damaged: {damage}")

    ask(url, token_file, work)

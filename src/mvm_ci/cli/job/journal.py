"""``mvm-ci job journal``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import JournalEntry, JournalView


@click.command()
@click.argument("job")
@click.option("--attempt", type=click.IntRange(1), help="Of which try.  [default: the present one]")
@client_options
def journal(*, job: str, attempt: int | None, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Show the journal of a job: what it did, where."""
    from mvm_ci.cli import output
    from mvm_ci.cli.naming import find_job

    async def work(client: "ApiClient") -> tuple["JournalView", list["JournalEntry"]]:
        found = await find_job(client, job)
        page = await client.journal(found, attempt=attempt)
        entries = list(page.entries)
        while page.entries and entries[-1].index + 1 < page.length:
            page = await client.journal(found, attempt=page.attempt, first=entries[-1].index + 1)
            entries += page.entries
        return page, entries

    page, entries = ask(url, token_file, work)
    if as_json:
        shown = [output.fields(entry) for entry in entries]
        output.print_json({"job": page.job, "attempt": page.attempt, "length": page.length, "entries": shown})
        return
    output.print_table(
        ("ENTRY", "KIND", "WORKER", "EPOCH", "WHAT"),
        ((entry.index, entry.kind, entry.place, entry.epoch, entry.summary) for entry in entries),
        cut=("WORKER", "WHAT"),
    )

"""``mvm-ci job fork``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import JobView


@click.command()
@click.argument("job")
@click.option(
    "--at",
    type=click.IntRange(1),
    required=True,
    metavar="N",
    help="Begin with so many entries of its journal.",
)
@click.option(
    "--module", help="Another module for it: its name, NAME@VERSION, its digest or the beginning of one."
)
@click.option(
    "--attempt", type=click.IntRange(1), metavar="N", help="Of which attempt.  [default: the present one]"
)
@client_options
def fork(
    *,
    job: str,
    at: int,
    module: str | None,
    attempt: int | None,
    url: str | None,
    token_file: str | None,
    as_json: bool,
) -> None:
    """Make a new job of the beginning of another one's journal.

    What the first N entries record stands; after them the new job goes on by itself, with idempotency keys
    of its own. Prints its id. 'mvm-ci journal show' has the numbers of the entries.
    """
    from mvm_ci.cli import output
    from mvm_ci.cli.naming import find_job, find_module

    async def work(client: "ApiClient") -> "JobView":
        found = await find_job(client, job)
        named = None if module is None else (await find_module(client, module)).reference
        return await client.fork(found, at, attempt=attempt, module=named)

    view = ask(url, token_file, work)
    if as_json:
        output.print_json(output.fields(view))
    else:
        click.echo(view.id)

"""``mvm-ci job logs``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient


@click.command()
@click.argument("job")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@click.option(
    "--attempt", type=click.IntRange(1), metavar="N", help="The attempt to begin with.  [default: 1]"
)
@click.option(
    "--from", "first", type=click.IntRange(0), metavar="N", help="Journal entry to begin with.  [default: 0]"
)
@click.option(
    "--to", type=click.IntRange(0), metavar="N", help="Stop before this journal entry of that attempt."
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Print so many pieces at most.")
@click.option("-n", "--tail", type=click.IntRange(1), metavar="N", help="Print the newest so many pieces.")
@client_options
def logs(  # noqa: PLR0913 - one parameter per option
    *,
    job: str,
    follow: bool,
    attempt: int | None,
    first: int | None,
    to: int | None,
    limit: int | None,
    tail: int | None,
    url: str | None,
    token_file: str | None,
    as_json: bool,
) -> None:
    """Print what a job wrote.

    A piece is what the job wrote at once, often a line. With --json each is one JSON object, with the number
    of its journal entry ("index"), by which --from and --to count.
    """
    from mvm_ci.cli.naming import find_job
    from mvm_ci.cli.outcome import print_log
    from mvm_ci.wire.api import LogRange

    which = LogRange(attempt=attempt, first=first, to=to, limit=limit, tail=tail)

    async def work(client: "ApiClient") -> None:
        found = await find_job(client, job)
        async for line in client.logs(found, which, wait=follow):
            if as_json:
                _print_piece(line)
            else:
                print_log(line, err=False)

    ask(url, token_file, work)


def _print_piece(line: object) -> None:
    import msgspec

    click.echo(msgspec.json.encode(line))

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
@client_options
def logs(*, job: str, follow: bool, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Print what a job wrote.

    With --json one JSON object per piece of output.
    """
    from mvm_ci.cli.naming import find_job
    from mvm_ci.cli.outcome import print_log

    async def work(client: "ApiClient") -> None:
        found = await find_job(client, job)
        async for line in client.logs(found, wait=follow):
            if as_json:
                _print_piece(line)
            else:
                print_log(line, err=False)

    ask(url, token_file, work)


def _print_piece(line: object) -> None:
    import msgspec

    click.echo(msgspec.json.encode(line))

"""``mvm-ci job wait``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import as_seconds, client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import JobView


@click.command()
@click.argument("job")
@click.option(
    "--timeout", callback=as_seconds, metavar="DURATION", help="How long, e.g. 5m; then exit code 124."
)
@client_options
def wait(*, job: str, timeout: float | None, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Wait for the end of a job."""
    from mvm_ci.cli import output
    from mvm_ci.cli.naming import find_job
    from mvm_ci.cli.outcome import check_outcome

    async def work(client: "ApiClient") -> "JobView":
        return await client.wait(await find_job(client, job), timeout)

    view = ask(url, token_file, work)
    if as_json:
        output.print_json(output.fields(view))
    else:
        click.echo(view.state)
    check_outcome(view)

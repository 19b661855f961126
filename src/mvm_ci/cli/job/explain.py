"""``mvm-ci job explain``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import Explanation


@click.command()
@click.argument("job")
@client_options
def explain(*, job: str, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Say what keeps a job waiting.

    One line a reason - a label, a limit, a time, another job, a missing worker - with what would change it.
    """
    from mvm_ci.cli import output
    from mvm_ci.cli.naming import find_job

    async def work(client: "ApiClient") -> "Explanation":
        return await client.explain(await find_job(client, job))

    found = ask(url, token_file, work)
    if as_json:
        output.print_json(output.fields(found))
        return
    place = "" if found.ahead is None else f", {found.ahead} of its kind before it"
    click.echo(f"{found.id} is {found.state}{place}")
    for reason in found.reasons:
        remedy = f" -> {reason.remedy}" if reason.remedy else ""
        click.echo(output.safe_line(f"  {reason.code}: {reason.message}{remedy}"))

"""``mvm-ci job cancel``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import CancelView

_MEANING = {"done": "cancelled", "stopping": "being stopped by its worker"}


@click.command()
@click.argument("job")
@client_options
def cancel(*, job: str, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Cancel a job."""
    from mvm_ci.cli import output
    from mvm_ci.cli.naming import find_job

    async def work(client: "ApiClient") -> tuple["CancelView", str]:
        view = await client.cancel(await find_job(client, job))
        meaning = _MEANING.get(view.cancelled)
        return view, meaning or f"{(await client.job(view.id)).state} already; nothing changed"

    view, meaning = ask(url, token_file, work)
    if as_json:
        output.print_json(output.fields(view))
    else:
        click.echo(f"{view.id}: {meaning}")

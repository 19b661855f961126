"""``mvm-ci job show``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import JobView


@click.command()
@click.argument("job")
@client_options
def show(*, job: str, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Show one job."""
    from mvm_ci.cli import output
    from mvm_ci.cli.naming import find_job

    async def work(client: "ApiClient") -> "JobView":
        return await client.job(await find_job(client, job))

    view = ask(url, token_file, work)
    if as_json:
        output.print_json(output.fields(view))
        return
    output.print_fields(
        (
            ("id", view.id),
            ("state", view.state),
            ("name", view.name or None),
            ("module", view.module),
            ("worker", view.worker),
            ("attempt", view.attempt),
            ("placements", view.epoch),
            ("workers lost", view.losses or None),
            ("journal", f"{view.journal_length} entries"),
            ("created", output.when(view.created_ms)),
            ("started", output.when(view.started_ms)),
            ("wakes", output.when(view.wake_ms)),
            ("finished", output.when(view.finished_ms)),
            ("result", None if view.result_size is None else output.size(view.result_size)),
            ("failure", f"{view.failure.kind}: {view.failure.message}" if view.failure else None),
        )
    )
    if view.failure and view.failure.detail:
        click.echo(output.safe_text(view.failure.detail.rstrip()))

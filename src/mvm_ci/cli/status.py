"""``mvm-ci status``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import Status


@click.command()
@client_options
def status(*, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Show the control plane at a glance."""
    from mvm_ci.cli import output

    async def work(client: "ApiClient") -> "Status":
        return await client.status()

    view = ask(url, token_file, work)
    if as_json:
        output.print_json(output.fields(view))
        return
    jobs = ", ".join(f"{count} {state}" for state, count in view.jobs.items() if count)
    output.print_fields(
        (
            ("version", view.version),
            ("started", output.when(view.started_ms)),
            ("workers", f"{view.connected} connected of {view.workers}, {view.slots} slots"),
            ("jobs", jobs or "none"),
            ("stale reports refused", view.stale_refused),
        )
    )

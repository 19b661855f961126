"""``mvm-ci worker list``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import WorkerView


@click.command("list")
@client_options
def list_workers(*, url: str | None, token_file: str | None, as_json: bool) -> None:
    """List workers."""
    from mvm_ci.cli import output

    async def work(client: "ApiClient") -> tuple["WorkerView", ...]:
        return await client.workers()

    views = ask(url, token_file, work)
    if as_json:
        output.print_json({"workers": [output.fields(view) for view in views]})
        return
    output.print_table(
        ("ID", "NAME", "STATE", "CONNECTED", "PATH", "RUNNING", "SEEN", "VERSION", "PLATFORM"),
        (
            (
                view.id[:12],
                view.name,
                view.state,
                "yes" if view.connected else "no",
                view.path or "",
                f"{view.running}/{view.slots}",
                output.ago(view.seen_ms or None),
                view.version,
                view.platform,
            )
            for view in views
        ),
        cut=("NAME", "VERSION", "PLATFORM"),
    )

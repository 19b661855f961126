"""``mvm-ci worker list``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import WorkerView


@click.command("list")
@click.option("--label", "labels", multiple=True, metavar="KEY[=VALUE]", help="Only those with this label.")
@client_options
def list_workers(*, labels: tuple[str, ...], url: str | None, token_file: str | None, as_json: bool) -> None:
    """List workers."""
    from mvm_ci.cli import output
    from mvm_ci.cli.worker.shown import labels_of, state_of, version_of

    async def work(client: "ApiClient") -> tuple["WorkerView", ...]:
        return await client.workers(",".join(labels))

    views = ask(url, token_file, work)
    if as_json:
        output.print_json({"workers": [output.fields(view) for view in views]})
        return
    output.print_table(
        (
            "ID",
            "NAME",
            "ROLE",
            "STATE",
            "CONNECTED",
            "PATH",
            "RUNNING",
            "SEEN",
            "VERSION",
            "PLATFORM",
            "LABELS",
        ),
        (
            (
                view.id[:12],
                view.name,
                view.role,
                state_of(view),
                "yes" if view.connected else "no",
                view.path or "",
                f"{view.running}/{view.slots}",
                output.ago(view.seen_ms or None),
                version_of(view),
                view.platform,
                labels_of(view),
            )
            for view in views
        ),
        cut=("NAME", "VERSION", "PLATFORM", "LABELS"),
    )

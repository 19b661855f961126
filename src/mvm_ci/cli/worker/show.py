"""``mvm-ci worker show``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import WorkerView


@click.command()
@click.argument("worker")
@client_options
def show(*, worker: str, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Show one worker.

    WORKER is its name, its id or at least four characters of its beginning.
    """
    from mvm_ci.cli import output
    from mvm_ci.cli.naming import find_worker
    from mvm_ci.cli.worker.shown import labels_of, state_of, version_of

    async def work(client: "ApiClient") -> "WorkerView":
        return await find_worker(client, worker)

    view = ask(url, token_file, work)
    if as_json:
        output.print_json(output.fields(view))
        return
    lease = None if view.lease_left_ms is None else f"{view.lease_left_ms / 1000:.1f} s left"
    output.print_fields(
        (
            ("id", view.id),
            ("name", view.name),
            ("role", view.role),
            ("state", state_of(view)),
            ("drain by", output.when(view.drain_by_ms)),
            ("connected", "yes" if view.connected else "no"),
            ("lease", lease),
            ("jobs", f"{view.jobs} ({view.running} running, {view.slots} slots)"),
            ("labels", labels_of(view) or None),
            ("ephemeral", "yes" if view.ephemeral else None),
            ("version", f"{version_of(view)}, protocol {view.protocol}"),
            ("platform", view.platform),
            ("joined", output.when(view.joined_ms or None)),
            ("seen", output.when(view.seen_ms or None)),
        )
    )
    if view.stalled:
        output.note("it is connected but starts nothing: see its log; 'mvm-ci worker resume' tries it again")
    if view.outdated:
        output.note("its version is older than the control plane's: bring it up to date")

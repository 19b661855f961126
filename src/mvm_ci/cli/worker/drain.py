"""``mvm-ci worker drain``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import as_seconds, client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import WorkerView


@click.command()
@click.argument("worker")
@click.option(
    "--deadline",
    callback=as_seconds,
    metavar="DURATION",
    help="After this time, what it still runs is handed over and goes on elsewhere.  [default: never]",
)
@client_options
def drain(
    *, worker: str, deadline: float | None, url: str | None, token_file: str | None, as_json: bool
) -> None:
    """Give a worker nothing more; what it runs goes on.

    This lasts until 'mvm-ci worker resume', also over its restarts. A worker that is to end gets SIGTERM
    instead: it drains by itself.

    WORKER is its name, its id or at least four characters of its beginning.
    """
    from mvm_ci.cli.naming import find_worker
    from mvm_ci.cli.worker.shown import print_state

    async def work(client: "ApiClient") -> "WorkerView":
        return await client.drain_worker((await find_worker(client, worker)).id, deadline)

    print_state(ask(url, token_file, work), as_json=as_json)

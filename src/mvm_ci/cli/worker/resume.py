"""``mvm-ci worker resume``."""

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
def resume(*, worker: str, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Give a drained worker jobs again.

    WORKER is its name, its id or at least four characters of its beginning.
    """
    from mvm_ci.cli.naming import find_worker
    from mvm_ci.cli.worker.shown import print_state

    async def work(client: "ApiClient") -> "WorkerView":
        return await client.resume_worker((await find_worker(client, worker)).id)

    print_state(ask(url, token_file, work), as_json=as_json)

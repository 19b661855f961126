"""``mvm-ci worker forget``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.confirm import confirm, yes_option
from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import WorkerView


@click.command()
@click.argument("worker")
@yes_option
@client_options
def forget(*, worker: str, yes: bool, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Remove a worker that is gone.

    The key of a revoked worker stays refused; another may join again, with a join token.

    WORKER is its name, its id or at least four characters of its beginning.
    """
    from mvm_ci.cli.naming import find_worker
    from mvm_ci.cli.worker.shown import print_state

    confirm(f"forget the worker {worker}", yes=yes)

    async def work(client: "ApiClient") -> "WorkerView":
        return await client.forget_worker((await find_worker(client, worker)).id)

    print_state(ask(url, token_file, work), as_json=as_json, state="forgotten")

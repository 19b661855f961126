"""``mvm-ci job result``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient


@click.command()
@click.argument("job")
@client_options
def result(*, job: str, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Print the result of a job.

    Exit code 1 if it ended without one, 6 if it has not ended.
    """
    from mvm_ci.cli.naming import find_job
    from mvm_ci.cli.outcome import show_outcome
    from mvm_ci.client.waiting import STANDING
    from mvm_ci.domain.errors import Conflict

    async def work(client: "ApiClient") -> None:
        view = await client.job(await find_job(client, job))
        if view.state not in STANDING:
            raise Conflict(
                f"job {view.id} is {view.state}: no result yet; wait with 'mvm-ci job wait {view.id}'"
            )
        await show_outcome(client, view, as_json=as_json)

    ask(url, token_file, work)

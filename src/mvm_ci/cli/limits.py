"""``mvm-ci limits``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import LimitList, LimitView


@click.command()
@client_options
def limits(*, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Show the concurrency keys that are in use or waited for.

    A key need not be made: the jobs that name it say its limit and its rate.
    """
    from mvm_ci.cli import output

    async def work(client: "ApiClient") -> "LimitList":
        return await client.limits()

    found = ask(url, token_file, work)
    if as_json:
        output.print_json({**output.fields(found), "keys": [output.fields(view) for view in found.keys]})
        return
    columns = ("KEY", "RUNNING", "LIMIT", "RATE", "JOBS WAIT", "NEXT START")
    output.print_table(columns, ((*_row(view), output.when(view.next_ms) or "") for view in found.keys))
    if found.max_running is not None:
        output.note(f"workers have {found.running} jobs of this namespace, of at most {found.max_running}")


def _row(view: "LimitView") -> tuple[str, ...]:
    rate = "none" if view.starts is None else f"{view.starts} in {view.per_s or 0:g} s"
    limit = "none" if view.limit is None else str(view.limit)
    return view.key, str(view.running), limit, rate, "yes" if view.waiting else "no"

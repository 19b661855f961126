"""``mvm-ci job list``."""

from typing import TYPE_CHECKING, Final

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.job.selection import Selection, selection_options
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import JobView

_PAGE: Final = 500


@click.command("list")
@selection_options
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@click.option("--all", "everything", is_flag=True, help="However many there are.")
@client_options
def list_jobs(
    *,
    selection: Selection,
    limit: int,
    everything: bool,
    url: str | None,
    token_file: str | None,
    as_json: bool,
) -> None:
    """List jobs, newest first."""
    from mvm_ci.cli import output

    async def work(client: "ApiClient") -> list["JobView"]:
        which = await selection.find(client)
        found: list[JobView] = []
        cursor: str | None = None
        while everything or len(found) < limit:
            size = _PAGE if everything else min(limit - len(found), _PAGE)
            page = await client.jobs(which, limit=size, cursor=cursor)
            found += page.jobs
            cursor = page.cursor
            if cursor is None:
                return found
        output.note(f"there are more than {limit} jobs; --all shows them")
        return found

    views = ask(url, token_file, work)
    if as_json:
        output.print_json({"jobs": [output.fields(view) for view in views]})
        return
    columns = ("JOB", "STATE", "NAME", "TRY", "WORKER", "CREATED", "WHY")
    output.print_table(
        columns,
        (
            (
                view.id,
                view.state,
                view.name,
                view.attempt,
                view.worker,
                output.local(view.created_ms),
                _why(view),
            )
            for view in views
        ),
        cut=("NAME", "WORKER", "WHY"),
    )


def _why(view: "JobView") -> str | None:
    return f"{view.failure.kind}: {view.failure.message}" if view.failure else None

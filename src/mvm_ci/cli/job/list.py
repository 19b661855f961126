"""``mvm-ci job list``."""

from typing import TYPE_CHECKING, Final

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import JobView

_PAGE: Final = 500


@click.command("list")
@click.option("--state", "states", multiple=True, help="Only jobs in this state; may be repeated.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most so many."
)
@client_options
def list_jobs(
    *, states: tuple[str, ...], limit: int, url: str | None, token_file: str | None, as_json: bool
) -> None:
    """List jobs, newest first."""
    from mvm_ci.cli import output
    from mvm_ci.domain.errors import BadInput
    from mvm_ci.domain.job import JobState

    labels = [state.label for state in JobState]
    wanted = [state.lower().replace("-", "_") for state in states]
    for state in wanted:
        if state not in labels:
            raise BadInput(f"--state: there is no state {state!r}; there are {', '.join(labels)}")

    async def work(client: "ApiClient") -> list["JobView"]:
        found: list[JobView] = []
        cursor: str | None = None
        while len(found) < limit:
            page = await client.jobs(states=wanted, limit=min(limit - len(found), _PAGE), cursor=cursor)
            found += page.jobs
            cursor = page.cursor
            if cursor is None:
                break
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

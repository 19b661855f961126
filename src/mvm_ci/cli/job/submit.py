"""``mvm-ci job submit``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.job.request import JobRequest, job_options
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import JobView


@click.command()
@click.argument("module", required=False)
@job_options
@click.option(
    "--from",
    "file",
    metavar="FILE|-",
    help="Many jobs, all or none: a JSON list, or a JSON object a line.",
)
@click.option("--wait", is_flag=True, help="Wait for the end and print the result.")
@client_options
def submit(
    *,
    module: str | None,
    request: JobRequest,
    file: str | None,
    wait: bool,
    url: str | None,
    token_file: str | None,
    as_json: bool,
) -> None:
    """Submit a job, or many; print their ids.

    MODULE is a file, a module's name or NAME@VERSION, its digest or the beginning of one. With --from each
    job of the file is an object as POST /v1/jobs takes it; its module may be named like MODULE, and what it
    leaves out is as MODULE and the options say.
    """
    from mvm_ci.cli import output
    from mvm_ci.cli.job.entries import Entries, read_entries
    from mvm_ci.cli.outcome import show_outcome
    from mvm_ci.domain.errors import BadInput

    if module is None and file is None:
        raise BadInput("which module? Give MODULE, or a file of jobs: --from FILE")
    entries = [{}] if file is None else read_entries(file)

    async def work(client: "ApiClient") -> None:
        views = await client.submit(await Entries(client, request, module).jobs(entries))
        if file is not None:
            await _show_many(client, views, wait=wait, as_json=as_json)
        elif wait:
            output.note(f"job {views[0].id}")
            await show_outcome(client, await client.wait(views[0].id), as_json=as_json)
        elif as_json:
            output.print_json(output.fields(views[0]))
        else:
            click.echo(views[0].id)

    ask(url, token_file, work)


async def _show_many(client: "ApiClient", views: tuple["JobView", ...], *, wait: bool, as_json: bool) -> None:
    """The ids; with ``wait``, when all have ended, and their states. Raises ``JobFailed``."""
    from mvm_ci.cli import output
    from mvm_ci.cli.outcome import check_outcome

    if wait:
        output.note(f"{len(views)} jobs")
        views = tuple([await client.wait(view.id) for view in views])
    if as_json:
        output.print_json({"jobs": [output.fields(view) for view in views]})
    else:
        for view in views:
            click.echo(f"{view.id} {view.state}" if wait else view.id)
    if wait:
        for view in views:
            check_outcome(view)

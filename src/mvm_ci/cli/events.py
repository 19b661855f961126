"""``mvm-ci events``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import EventView


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until it is interrupted.")
@click.option(
    "--after",
    type=click.IntRange(min=0),
    metavar="NUMBER",
    help="Begin after this event.  [default: with the oldest; with --follow, with what comes]",
)
@click.option("--job", metavar="JOB", help="Only events of this job.")
@click.option("--kind", multiple=True, metavar="KIND", help="Only this kind. May be given several times.")
@client_options
def events(
    *,
    follow: bool,
    after: int | None,
    job: str | None,
    kind: tuple[str, ...],
    url: str | None,
    token_file: str | None,
    as_json: bool,
) -> None:
    """Show what happens to jobs.

    After restarted and gap events may be missing. With --json one JSON object per event.
    """
    from mvm_ci.cli.naming import find_job

    if after is None and not follow:
        after = 0

    async def work(client: "ApiClient") -> None:
        chosen = None if job is None else await find_job(client, job)
        async for event in client.events(after=after, job=chosen, kinds=kind, follow=follow):
            _show(event, as_json=as_json)

    ask(url, token_file, work)


def _show(event: "EventView", *, as_json: bool) -> None:
    from mvm_ci.cli import output

    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(event))
    else:
        job = output.safe_line(f"{event.job} {event.state} {event.name}") if event.job else ""
        click.echo(f"{event.seq} {output.local(event.at_ms)} {event.kind:<9} {job}".rstrip())

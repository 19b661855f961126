"""``mvm-ci schedule create``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.job.request import JobRequest, template_options
from mvm_ci.cli.options import as_seconds, client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import ScheduleView


@click.command()
@click.argument("schedule", metavar="NAME")
@click.argument("when")
@click.argument("module")
@click.option(
    "--time-zone", default="UTC", show_default=True, metavar="ZONE", help="Of WHEN: Europe/Berlin, ..."
)
@click.option(
    "--jitter", callback=as_seconds, metavar="DURATION", help="Fire up to so much later.  [default: 0s]"
)
@click.option(
    "--catch-up",
    type=click.Choice(["skip", "last", "all"]),
    default="last",
    show_default=True,
    help="Which of the fires that were missed are made up for.",
)
@click.option(
    "--overlap",
    type=click.Choice(["skip", "allow", "cancel-older", "queue-one"]),
    default="skip",
    show_default=True,
    help="What a fire does while the last job has not ended.",
)
@click.option("--paused", is_flag=True, help="Let it fire nothing until it is resumed.")
@template_options
@client_options
def create(  # noqa: PLR0913 - one parameter per option
    *,
    schedule: str,
    when: str,
    module: str,
    time_zone: str,
    jitter: float | None,
    catch_up: str,
    overlap: str,
    paused: bool,
    request: JobRequest,
    url: str | None,
    token_file: str | None,
    as_json: bool,
) -> None:
    """Create a schedule, or change the one of this name.

    WHEN is a cron expression ('0 9 * * MON-FRI', @daily) or an interval ('every 15m'). MODULE is a file, a
    module's name or NAME@VERSION, its digest or the beginning of one; of a published name each fire takes the
    newest version. "$scheduled_time" in the input becomes the time of the fire.
    """
    from msgspec.structs import replace

    from mvm_ci.cli import output
    from mvm_ci.cli.naming import find_module, pushed, read_module_file
    from mvm_ci.cli.schedule.showing import print_schedule
    from mvm_ci.domain.schedule import CatchUp, Overlap
    from mvm_ci.wire.api import PutSchedule

    data = read_module_file(module)

    async def work(client: "ApiClient") -> "ScheduleView":
        found = await find_module(client, module) if data is None else pushed(await client.push_module(data))
        name = schedule if request.name is None else request.name
        job = replace(request.spec, module=found.reference, name=name)
        asked = PutSchedule(
            when=when,
            time_zone=time_zone,
            jitter_s=jitter or 0.0,
            catch_up=CatchUp(catch_up),
            overlap=Overlap(overlap),
            job=job,
            paused=True if paused else None,
        )
        return await client.put_schedule(schedule, asked)

    view = ask(url, token_file, work)
    if as_json:
        output.print_json(output.fields(view))
    else:
        print_schedule(view)

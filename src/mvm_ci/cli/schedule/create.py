"""``mvm-ci schedule create``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import as_seconds, client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import ScheduleView


@click.command()
@click.argument("name")
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
@click.option(
    "--input", "input_text", default="null", metavar="JSON|@FILE|-", help="The job's input.  [default: null]"
)
@click.option("--job-name", metavar="NAME", help="Of the jobs.  [default: the schedule's]")
@click.option(
    "--allow-host", "hosts", multiple=True, metavar="HOST", help="Host that it may call; may be repeated."
)
@click.option(
    "--max-attempts", type=click.IntRange(1, 100), default=1, show_default=True, help="Tries if it fails."
)
@click.option(
    "--time-limit", default="1h", callback=as_seconds, metavar="DURATION", help="For one try.  [default: 1h]"
)
@click.option(
    "--memory",
    type=click.IntRange(1, 4096),
    default=256,
    show_default=True,
    metavar="MIB",
    help="Its memory limit.",
)
@client_options
def create(  # noqa: PLR0913 - one parameter per option
    *,
    name: str,
    when: str,
    module: str,
    time_zone: str,
    jitter: float | None,
    catch_up: str,
    overlap: str,
    paused: bool,
    input_text: str,
    job_name: str | None,
    hosts: tuple[str, ...],
    max_attempts: int,
    time_limit: float,
    memory: int,
    url: str | None,
    token_file: str | None,
    as_json: bool,
) -> None:
    """Create a schedule, or change the one of this name.

    WHEN is a cron expression ('0 9 * * MON-FRI', @daily) or an interval ('every 15m'). MODULE is a file, a
    module's name or NAME@VERSION, its digest or the beginning of one; of a published name each fire takes the
    newest version. "$scheduled_time" in the input becomes the time of the fire.
    """
    from mvm_ci.cli import output
    from mvm_ci.cli.inputs import read_input
    from mvm_ci.cli.naming import find_module, pushed, read_module_file
    from mvm_ci.cli.schedule.showing import print_schedule
    from mvm_ci.domain.schedule import CatchUp, Overlap
    from mvm_ci.wire.api import PutSchedule, SubmitJob

    job_input = read_input(input_text)
    data = read_module_file(module)

    async def work(client: "ApiClient") -> "ScheduleView":
        found = await find_module(client, module) if data is None else pushed(await client.push_module(data))
        job = SubmitJob(
            module=found.reference,
            input=job_input,
            name=name if job_name is None else job_name,
            allow_hosts=hosts or None,
            max_attempts=max_attempts,
            timeout_s=time_limit,
            memory_mb=memory,
        )
        asked = PutSchedule(
            when=when,
            time_zone=time_zone,
            jitter_s=jitter or 0.0,
            catch_up=CatchUp(catch_up),
            overlap=Overlap(overlap),
            job=job,
            paused=True if paused else None,
        )
        return await client.put_schedule(name, asked)

    view = ask(url, token_file, work)
    if as_json:
        output.print_json(output.fields(view))
    else:
        print_schedule(view)

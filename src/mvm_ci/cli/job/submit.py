"""``mvm-ci job submit``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import as_seconds, client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient


@click.command()
@click.argument("module")
@click.option(
    "--input", "input_text", default="null", metavar="JSON|@FILE|-", help="The job's input.  [default: null]"
)
@click.option("--name", help="A name to recognise it by.  [default: the module's]")
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
@click.option("--wait", is_flag=True, help="Wait for the end and print the result.")
@client_options
def submit(  # noqa: PLR0913 - one parameter per option
    *,
    module: str,
    input_text: str,
    name: str | None,
    hosts: tuple[str, ...],
    max_attempts: int,
    time_limit: float,
    memory: int,
    wait: bool,
    url: str | None,
    token_file: str | None,
    as_json: bool,
) -> None:
    """Submit a job; print its id.

    MODULE is a file, a module's name, its digest or the beginning of one.
    """
    from mvm_ci.cli import output
    from mvm_ci.cli.inputs import read_input
    from mvm_ci.cli.naming import find_module, read_module_file
    from mvm_ci.cli.outcome import show_outcome
    from mvm_ci.wire.api import SubmitJob

    job_input = read_input(input_text)
    data = read_module_file(module)

    async def work(client: "ApiClient") -> None:
        found = await find_module(client, module) if data is None else await client.push_module(data)
        spec = SubmitJob(
            module=found.digest,
            input=job_input,
            name=found.name if name is None else name,
            allow_hosts=hosts or None,
            max_attempts=max_attempts,
            timeout_s=time_limit,
            memory_mb=memory,
        )
        (view,) = await client.submit([spec])
        if wait:
            output.note(f"job {view.id}")
            await show_outcome(client, await client.wait(view.id), as_json=as_json)
        elif as_json:
            output.print_json(output.fields(view))
        else:
            click.echo(view.id)

    ask(url, token_file, work)

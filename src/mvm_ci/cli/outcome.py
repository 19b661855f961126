"""Showing how a job ended: its result on stdout, or an error and exit code 1."""

import sys
from typing import TYPE_CHECKING

import click
import msgspec

from mvm_ci.cli import output
from mvm_ci.cli.exits import JobFailed, WaitTimedOut
from mvm_ci.client.waiting import STANDING
from mvm_ci.domain.job import JobState
from mvm_ci.domain.payload import is_json

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import JobView, LogLine


async def show_outcome(client: "ApiClient", view: "JobView", *, as_json: bool) -> None:
    """Prints the result (with ``as_json`` the whole job). Raises ``JobFailed`` or ``WaitTimedOut``."""
    if as_json:
        output.print_json(output.fields(view))
    elif view.state == JobState.COMPLETED.label:
        await _print_result(client, view)
    check_outcome(view)


def check_outcome(view: "JobView") -> None:
    """Raises ``JobFailed`` or ``WaitTimedOut`` unless the job has completed."""
    if view.state == JobState.COMPLETED.label:
        return
    if view.state not in STANDING:
        raise WaitTimedOut(f"job {view.id} has not ended: it is {view.state}; it goes on")
    if view.failure is None:
        raise JobFailed(f"job {view.id} is {view.state}")
    if view.failure.detail:
        output.note(output.safe_text(view.failure.detail.rstrip()))
    raise JobFailed(
        f"job {view.id} is {view.state} ({view.failure.kind}): {output.safe_line(view.failure.message)}"
    )


def print_log(line: "LogLine", *, err: bool) -> None:
    """A piece of a guest's output, as it is; on a terminal nothing in it can drive the terminal."""
    terminal = (sys.stderr if err else sys.stdout).isatty()
    click.echo(output.safe_text(line.text) if terminal else line.text, err=err, nl=False)


async def _print_result(client: "ApiClient", view: "JobView") -> None:
    if isinstance(view.result, msgspec.Raw):
        click.echo(bytes(view.result))
        return
    data = await client.result(view.id)
    stream = sys.stdout.buffer
    stream.write(data)
    # JSON that was too large to come with the job ends its line; other bytes stay as they are.
    if is_json(data):
        stream.write(b"\n")
    stream.flush()

"""``mvm-ci validate``."""

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import as_seconds, client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.deploy.validation.report import Report
    from mvm_ci.wire.api import WhoAmI

_SHORTEST_RATE: Final = 0.1
_HIGHEST_RATE: Final = 1000


@click.command()
@click.option(
    "--workers",
    type=click.IntRange(1),
    metavar="N",
    help="So many must be connected.  [default: one at least]",
)
@click.option(
    "--join-timeout",
    callback=as_seconds,
    default="1m",
    metavar="DURATION",
    help="Longest wait for the workers.  [default: 1m]",
)
@click.option(
    "--duration",
    callback=as_seconds,
    default="30m",
    metavar="DURATION",
    help="How long the cluster is under load. Below 10m no leak can be told.  [default: 30m]",
)
@click.option(
    "--rate",
    type=click.FloatRange(_SHORTEST_RATE, _HIGHEST_RATE),
    default=5.0,
    metavar="N",
    help="Jobs a second.  [default: 5]",
)
@click.option(
    "--kill",
    metavar="COMMAND",
    help="Command for the shell here that kills, without warning, the worker that $MVM_CI_WORKER names.",
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Write the report as a page, too.",
)
@client_options
@click.pass_context
def validate(  # noqa: PLR0913 - one parameter per option
    ctx: click.Context,
    *,
    workers: int | None,
    join_timeout: float,
    duration: float,
    rate: float,
    kill: str | None,
    html: Path | None,
    url: str | None,
    token_file: str | None,
    as_json: bool,
) -> None:
    """Check a running cluster with jobs of its own, and report.

    Needs a token of the role submitter; with one for all namespaces, leaks are looked for, too. Its jobs have
    a queue of their own and are removed at the end. Ctrl-C ends it with a report of what was found until
    then.

    Exit code 0 if no check failed, 1 if one did, 130 if it was interrupted.
    """
    from mvm_ci.cli import exits, output
    from mvm_ci.cli.capacity import check_writable, write
    from mvm_ci.cli.options import credentials
    from mvm_ci.cli.progress import cancel_when_asked, shown_progress
    from mvm_ci.deploy.validation.page import page
    from mvm_ci.deploy.validation.text import text
    from mvm_ci.deploy.validation.validate import INTERRUPTED, SHORTEST_S, Plan, Validation
    from mvm_ci.domain.errors import BadInput

    if duration < SHORTEST_S:
        raise BadInput(
            f"--duration: {duration:g} s are too short to show anything; give {SHORTEST_S:g}s or more"
        )
    address = credentials(url, token_file).url
    if html is not None:
        check_writable("--html", html)  # what cannot be written should be said now, not in half an hour

    async def work(client: "ApiClient") -> "Report":
        caller = await client.whoami()
        _check_role(caller)
        plan = Plan(
            url=_shown(address),
            namespace=caller.namespace,
            queue=f"validate-{secrets.token_hex(4)}",
            workers=workers,
            join_timeout_s=join_timeout,
            duration_s=duration,
            rate=rate,
            kill=kill,
        )
        cancel_when_asked()
        with shown_progress(sys.stderr) as progress:
            return await Validation(client, plan, progress).run()

    report = ask(url, token_file, work)
    if html is not None:
        write("--html", html, page(report))
    if as_json:
        output.print_json(report)
    else:
        click.echo(output.safe_text(text(report)))
    if report.ended_by == INTERRUPTED:
        ctx.exit(exits.INTERRUPTED)
    if report.failed:
        ctx.exit(exits.JOB_FAILED)


def _check_role(caller: "WhoAmI") -> None:
    from mvm_ci.domain.errors import Refused
    from mvm_ci.domain.role import Role

    if not Role(caller.role).includes(Role.SUBMITTER):
        raise Refused(
            f"the token {caller.name!r} has the role {caller.role}; the jobs of a validation need "
            f"the role {Role.SUBMITTER.value}"
        )


def _shown(address: str) -> str:
    """An address for a report: a ticket is long, and says nothing to people."""
    from mvm_ci.config.parsers import is_ticket

    return f"ticket {address[:12]}…" if is_ticket(address) else address

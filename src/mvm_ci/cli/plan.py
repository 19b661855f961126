"""``mvm-ci plan``."""

from pathlib import Path

import click

from mvm_ci.cli.capacity import RATE, WORKERS, objective_option, read_runs, results_option, untrusted_option
from mvm_ci.cli.options import json_option


@click.command()
@click.option("--workers", type=WORKERS, required=True, metavar="N", help="Workers that are wanted.")
@click.option("--rate", type=RATE, required=True, metavar="N", help="Jobs a second of all of them.")
@click.option(
    "--jobs",
    default="wait",
    metavar="KIND",
    help="The kind of jobs, as of mvm-ci loadtest.  [default: wait]",
)
@objective_option
@click.option("--elsewhere", is_flag=True, help="Workers are on other machines than the control plane.")
@click.option("--kubernetes", is_flag=True, help="It is to run on Kubernetes.")
@untrusted_option
@click.option(
    "--may-pause/--no-pause",
    default=True,
    help="Whether a restart of one machine may pause all guests; nothing is lost either way.  "
    "[default: may pause]",
)
@click.option(
    "--cores",
    type=click.IntRange(1, 256),
    default=1,
    metavar="N",
    help="Cores of each worker that guests may have.  [default: 1]",
)
@results_option
@json_option
def plan(  # noqa: PLR0913 - one parameter per option
    *,
    workers: int,
    rate: float,
    jobs: str,
    slo: str,
    elsewhere: bool,
    kubernetes: bool,
    untrusted: tuple[str, ...],
    may_pause: bool,
    cores: int,
    results: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Say which option fits, how large, by which commands, and when to move on.

    Judged by load tests where their results are given, else by the limits of the documentation; each figure
    says which.
    """
    from mvm_ci.capacity import planned
    from mvm_ci.capacity.objective import parse
    from mvm_ci.capacity.plan import Wish
    from mvm_ci.capacity.plan import plan as answer
    from mvm_ci.cli import output

    found = answer(
        Wish(
            workers=workers,
            profile=jobs,
            jobs_per_s=rate,
            objective=parse(slo),
            kubernetes=kubernetes,
            untrusted_jobs="jobs" in untrusted,
            untrusted_machines="machines" in untrusted,
            may_pause=may_pause,
            elsewhere=elsewhere,
            cores=cores,
        ),
        read_runs(results),
    )
    if as_json:
        output.print_json(found)
    else:
        click.echo(output.safe_text(planned.text(found)))

"""``mvm-ci decide``."""

import time
from pathlib import Path

import click

from mvm_ci.cli.capacity import (
    RATE,
    WORKERS,
    check_writable,
    objective_option,
    read_runs,
    results_option,
    untrusted_option,
    write,
)
from mvm_ci.cli.options import as_seconds, client_options


@click.command()
@results_option
@click.option("--workers", type=WORKERS, metavar="N", help="Workers that there are, or will be.")
@click.option("--rate", type=RATE, metavar="N", help="Jobs a second of all of them.")
@click.option(
    "--duration",
    callback=as_seconds,
    default="30s",
    metavar="DURATION",
    help="Without --workers and --rate: how long the running cluster is watched for them.  [default: 30s]",
)
@objective_option
@click.option(
    "--jobs", metavar="KIND", help="The kind of jobs that it is about.  [default: all that were measured]"
)
@click.option(
    "--option",
    "option",
    type=click.Choice(["2", "3", "4"]),
    help="Where the shared engine is.  [default: all that were measured]",
)
@untrusted_option
@click.option(
    "--markdown",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Write a decision record, too.",
)
@client_options
@click.pass_context
def decide(  # noqa: PLR0913 - one parameter per option
    ctx: click.Context,
    *,
    results: tuple[Path, ...],
    workers: int | None,
    rate: float | None,
    duration: float,
    slo: str,
    jobs: str | None,
    option: str | None,
    untrusted: tuple[str, ...],
    markdown: Path | None,
    url: str | None,
    token_file: str | None,
    as_json: bool,
) -> None:
    """Answer from load tests: proceed with option 1, an engine in each worker?

    The answer is yes, no, or that there is not enough evidence, and then which load test would supply it.
    With --workers and --rate no control plane is needed; else the running one is watched, which needs a token
    of the role viewer for all namespaces.

    Exit code 0 for yes and for no, 7 if there is not enough evidence.
    """
    from mvm_ci.capacity import record
    from mvm_ci.capacity.decide import Question, Verdict
    from mvm_ci.capacity.decide import decide as answer
    from mvm_ci.capacity.objective import parse
    from mvm_ci.cli import exits, output
    from mvm_ci.domain.errors import BadInput

    objective, runs, source = parse(slo), read_runs(results), "given"
    if markdown is not None:
        check_writable("--markdown", markdown)
    if (workers is None) != (rate is None):
        raise BadInput("give --workers and --rate, or neither, to watch the running cluster for them")
    if workers is None or rate is None:
        from mvm_ci.cli.watching import watched

        workers, rate = watched(url, token_file, duration)
        source = f"seen at the running cluster for {duration:g} s"
    decision = answer(
        Question(
            workers=workers,
            jobs_per_s=rate,
            objective=objective,
            profile=jobs,
            option=None if option is None else int(option),
            untrusted_jobs="jobs" in untrusted,
            untrusted_machines="machines" in untrusted,
            source=source,
        ),
        runs,
        round(time.time() * 1000),
    )
    if markdown is not None:
        write("--markdown", markdown, record.markdown(decision))
    if as_json:
        output.print_json(decision)
    else:
        click.echo(output.safe_text(record.text(decision)))
    if decision.verdict is Verdict.NOT_ENOUGH:
        ctx.exit(exits.NOT_ENOUGH)

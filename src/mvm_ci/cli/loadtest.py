"""``mvm-ci loadtest``."""

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from mvm_ci.cli.options import as_numbers, as_seconds, as_whole_numbers, client_options

if TYPE_CHECKING:
    from mvm_ci.capacity.results import Result

_FILE: Final = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.command()
@click.option("--local", is_flag=True, help="Start everything on this machine, and load that.")
@click.option(
    "--option",
    "options",
    type=click.Choice(["1", "2", "3", "4"]),
    multiple=True,
    help="Where the engine is: with --local to start it there, several if you like; else what the running "
    "cluster has, for its result.  [default: 1 with --local]",
)
@click.option(
    "--simulated",
    is_flag=True,
    help="With --local: workers that live in one process, as many as you like. With option 1 no guest runs: "
    "they only take their time, and the control plane is what is measured.",
)
@click.option(
    "--slots", type=click.IntRange(1, 256), default=1, metavar="N", help="Of each local worker.  [default: 1]"
)
@click.option(
    "--jobs",
    multiple=True,
    metavar="KIND",
    help="noop, wait, http, cpu, memory, flow or mixed. May be given several times.  [default: wait]",
)
@click.option(
    "--jobs-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A mix of your own, in TOML.",
)
@click.option(
    "--workers",
    callback=as_whole_numbers,
    metavar="N,N,...",
    help="Ramp of workers. At a running cluster, the others are drained meanwhile.  "
    "[default: 1,2,5,10 with --local, else all that are connected]",
)
@click.option(
    "--in-flight",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Closed loop: requests at once for each worker.  [default: 1]",
)
@click.option(
    "--scenario",
    "scenarios",
    type=click.Choice(["100", "500", "1000"]),
    multiple=True,
    help="Closed loop: so many jobs at once, however many workers there are. May be given several times.",
)
@click.option(
    "--rate",
    "rates",
    callback=as_numbers,
    metavar="N,N,...",
    help="Open loop: ramp of requests a second, whatever becomes of them.",
)
@click.option(
    "--batch", type=click.IntRange(1, 1000), default=1, metavar="N", help="Jobs a request.  [default: 1]"
)
@click.option(
    "--measure",
    callback=as_seconds,
    default="10s",
    metavar="DURATION",
    help="How long each load is measured, once it is steady.  [default: 10s]",
)
@click.option(
    "--warm-up",
    callback=as_seconds,
    default="10s",
    metavar="DURATION",
    help="Longest wait until it is.  [default: 10s]",
)
@click.option(
    "--repetitions", type=click.IntRange(1, 20), default=3, metavar="N", help="Of each load.  [default: 3]"
)
@click.option(
    "--slo",
    metavar="p99=DURATION",
    help="Objective, for the knee of the curve. A ramp ends at the second step that breaks it.",
)
@click.option(
    "--duration",
    callback=as_seconds,
    metavar="DURATION",
    help="A soak: one load for so long; what becomes of every job, and what grows.",
)
@click.option(
    "--kill-every",
    callback=as_seconds,
    metavar="DURATION",
    help="During a soak: kills a worker so often. At a running cluster --kill says how.",
)
@click.option(
    "--kill",
    metavar="COMMAND",
    help="Command for the shell here that kills, without warning, the worker that $MVM_CI_WORKER names.",
)
@click.option(
    "--stub-bind",
    default="127.0.0.1:0",
    metavar="IP:PORT",
    help="Where the server listens that jobs of the kinds http and flow ask.  [default: 127.0.0.1:0]",
)
@click.option(
    "--stub-latency",
    default="lognormal:20ms,p99=100ms",
    metavar="DISTRIBUTION",
    help="Of its answers: fixed:20ms, exponential:20ms, or as the default.  "
    "[default: lognormal:20ms,p99=100ms]",
)
@click.option(
    "--output",
    type=_FILE,
    metavar="FILE",
    help="Where the result is written, as JSON; after each step, too.  [default: loadtest-TIME.json]",
)
@click.option("--html", type=_FILE, metavar="FILE", help="Write a report as a page, too.")
@click.option("--markdown", type=_FILE, metavar="FILE", help="Write tables for a document, too.")
@client_options
@click.pass_context
def loadtest(  # noqa: PLR0913 - one parameter per option
    ctx: click.Context,
    *,
    local: bool,
    options: tuple[str, ...],
    simulated: bool,
    slots: int,
    jobs: tuple[str, ...],
    jobs_file: Path | None,
    workers: tuple[int, ...],
    in_flight: int | None,
    scenarios: tuple[str, ...],
    rates: tuple[float, ...],
    batch: int,
    measure: float,
    warm_up: float,
    repetitions: int,
    slo: str | None,
    duration: float | None,
    kill_every: float | None,
    kill: str | None,
    stub_bind: str,
    stub_latency: str,
    output: Path | None,
    html: Path | None,
    markdown: Path | None,
    url: str | None,
    token_file: str | None,
    as_json: bool,
) -> None:
    """Find how many workers an engine, or a control plane, serves.

    Without --local a running cluster is loaded; that needs a token of the role submitter, and of the role
    operator for --workers. Its jobs have a queue of their own and are removed at the end. Ctrl-C ends it with
    the results found until then.

    Exit code 0 if all was measured, 1 if jobs of a soak were lost, failed or doubled, 3 if the cluster went
    away, 130 if it was interrupted; what was measured is kept in any case.
    """
    import uvloop

    from mvm_ci.capacity.curve import Run as Shown
    from mvm_ci.capacity.objective import parse
    from mvm_ci.cli import exits
    from mvm_ci.cli.loading import Files, Given, command, loads, profiles_of, soak, target
    from mvm_ci.cli.output import print_json, safe_text
    from mvm_ci.cli.progress import cancel_when_asked, shown_progress
    from mvm_ci.loadtest.asked import Asked
    from mvm_ci.loadtest.delays import Delays
    from mvm_ci.loadtest.report.text import text
    from mvm_ci.loadtest.run import INTERRUPTED, LoadTest, Run

    objective = parse(slo) if slo is not None else None
    profiles = profiles_of(jobs, jobs_file)
    said = frozenset(
        f"--{name}"
        for name in ("slots", "measure", "repetitions")
        if ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
    )
    found = target(
        Given(
            local=local,
            options=tuple(int(one) for one in options),
            simulated=simulated,
            slots=slots,
            kill=kill,
            kill_every_s=kill_every,
            url=url,
            token_file=token_file,
            said=said,
        ),
        profiles,
        stub_bind,
    )
    asked = Asked(
        profiles=tuple(profiles),
        workers=found.ramp(workers),
        loads=loads(rates, scenarios, in_flight),
        batch=batch,
        repetitions=repetitions,
        warm_up_s=warm_up,
        measure_s=measure,
    ).checked()
    files = Files(output=output, html=html, markdown=markdown)
    run = Run(
        command=command(sys.argv[1:]),
        address=found.address,
        shared=local,
        queue=f"loadtest-{secrets.token_hex(4)}",
        asked=asked,
        profiles=profiles,
        objective=objective,
        stub=found.stub,
        stub_latency=Delays(stub_latency, 0).text,
        option=found.option,
        soaking=soak(asked, duration, kill_every, said),
    )

    async def work() -> "Result":
        cancel_when_asked()
        with shown_progress(sys.stderr) as progress:
            return await LoadTest(run, progress, files.keep).run(found.fleets)

    result = uvloop.run(work())
    files.write(result)
    if as_json:
        print_json(result)
    else:
        click.echo(safe_text(text([Shown(name=files.output.name, result=result)], files.names)))
    if result.ended_by == INTERRUPTED:
        ctx.exit(exits.INTERRUPTED)
    if result.ended_by:
        ctx.exit(exits.UNAVAILABLE)
    if result.soak is not None and result.soak.broken:
        ctx.exit(exits.JOB_FAILED)

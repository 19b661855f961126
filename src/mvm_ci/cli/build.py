"""``mvm-ci build``."""

from pathlib import Path

import click

from mvm_ci.cli.options import local_options


@click.command()
@click.argument("job", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", "target", type=click.Path(path_type=Path), help="The module.  [default: JOB.wasm]"
)
@local_options
def build(*, job: Path, target: Path | None, as_json: bool) -> None:
    """Build a Python job into a module.

    Prints the module's file. Name and hosts are those of the script's header.
    """
    from mvm_ci.cli import output
    from mvm_ci.cli.building import build_job

    made = build_job(job, target or job.with_suffix(".wasm"))
    if as_json:
        output.print_json({**output.fields(made), "output": str(made.output)})
    else:
        click.echo(made.output)

"""``mvm-ci build``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mvm_ci.cli.options import local_options

if TYPE_CHECKING:
    from mvm_ci.adapters.componentize.plan import CheckReport


@click.command()
@click.argument("job", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(path_type=Path),
    help="The module.  [default: JOB.wasm, in a directory with its name]",
)
@click.option("--lock", "relock", is_flag=True, help="Resolve the job's packages anew and write its lock.")
@click.option("--check", "only_check", is_flag=True, help="Only say what would be built, and why not.")
@local_options
def build(*, job: Path, target: Path | None, relock: bool, only_check: bool, as_json: bool) -> None:
    """Build a Python job into a module.

    JOB is a script, whose header may name packages, or a directory with a pyproject.toml. Prints the module's
    file. Name, hosts and packages are those of the header or the pyproject.toml.
    """
    from mvm_ci.cli import output
    from mvm_ci.cli.building import build_job, check_job
    from mvm_ci.cli.exits import USAGE

    if only_check:
        found = check_job(job, relock=relock)
        if as_json:
            output.print_json(output.fields(found))
        else:
            _show(found)
        if found.refusals:
            raise click.exceptions.Exit(USAGE)
        return
    made = build_job(job, target, relock=relock)
    if as_json:
        output.print_json({**output.fields(made), "output": str(made.output)})
    else:
        click.echo(made.output)


def _show(found: "CheckReport") -> None:
    from mvm_ci.cli import output

    rows = [(one.name, one.version, one.files, output.size(one.bytes)) for one in found.packages]
    if rows:
        output.print_table(("PACKAGE", "VERSION", "FILES", "SIZE"), rows)
    click.echo(f"{found.name}: {found.files} files, {output.size(found.bytes)}")
    for warning in found.warnings:
        click.echo(f"warning: {output.safe_line(warning)}")
    for refusal in found.refusals:
        click.echo(f"refused: {output.safe_line(refusal)}")

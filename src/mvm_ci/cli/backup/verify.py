"""``mvm-ci backup verify``."""

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(*, file: Path, as_json: bool) -> None:
    """Read a whole backup and check it."""
    from mvm_ci.cli.backup.shown import show
    from mvm_ci.wiring.backup import verify_backup

    show(file, verify_backup(file), as_json=as_json)

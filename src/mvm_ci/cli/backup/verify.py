"""``mvm-ci backup verify``."""

from pathlib import Path

import click

from mvm_ci.cli.options import json_option


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def verify(*, file: Path, as_json: bool) -> None:
    """Read a whole backup and check it."""
    from mvm_ci.cli.backup.shown import show
    from mvm_ci.wiring.backup import verify_backup

    show(file, verify_backup(file), as_json=as_json)

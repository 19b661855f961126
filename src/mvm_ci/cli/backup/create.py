"""``mvm-ci backup create``."""

import time
from pathlib import Path

import click

from mvm_ci.cli.options import json_option, setting_options, source
from mvm_ci.config import settings


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@setting_options((settings.CONTROL_PLANE_STATE, *settings.FILE))
@json_option
def create(*, file: Path, state_dir: str | None, as_json: bool) -> None:
    """Write the control plane's state to a file, also while it serves.

    FILE must not exist yet. Whoever holds it can act as this control plane: it contains the endpoint's key
    and the admin token.
    """
    from mvm_ci.cli.backup.shown import show
    from mvm_ci.wiring.backup import create_backup

    directory = source({"state_dir": state_dir}, "control-plane").directory(settings.CONTROL_PLANE_STATE)
    show(file, create_backup(directory, file.absolute(), time.time_ns() // 1_000_000), as_json=as_json)

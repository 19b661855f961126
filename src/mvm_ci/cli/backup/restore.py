"""``mvm-ci backup restore``."""

import time
from pathlib import Path

import click

from mvm_ci.cli.options import json_option, setting_options, source
from mvm_ci.config import settings


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@setting_options((settings.CONTROL_PLANE_STATE, *settings.FILE))
@json_option
def restore(*, file: Path, state_dir: str | None, as_json: bool) -> None:
    """Make a new state directory from a backup.

    The directory must be missing or empty. Stop the control plane that the backup is of for good before
    another one serves the restored state: what it did after the backup was made is lost, and will partly be
    done again.
    """
    from mvm_ci.cli import output
    from mvm_ci.cli.backup.shown import show
    from mvm_ci.wiring.backup import restore_backup

    directory = source({"state_dir": state_dir}, "control-plane").directory(settings.CONTROL_PLANE_STATE)
    restored = restore_backup(file, directory, time.time_ns() // 1_000_000)
    show(file, restored.manifest, as_json=as_json, state_dir=str(directory), going_on=restored.going_on)
    output.note(f"restored into {directory}; {restored.going_on} jobs go on when a control plane serves it")

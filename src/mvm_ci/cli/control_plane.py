"""``mvm-ci control-plane``."""

from typing import Any

import click

from mvm_ci.cli.options import setting_options, source
from mvm_ci.config import settings


@click.command("control-plane")
@setting_options((*settings.CONTROL_PLANE, *settings.LOGGING, *settings.FILE))
def control_plane(**flags: Any) -> None:  # noqa: ANN401 - text or tuples of it
    """Run a control plane.

    Prints the address of its API and the ticket for workers, then runs until SIGTERM or Ctrl-C.
    """
    from mvm_ci.config.processes import control_plane_config, log_config
    from mvm_ci.logs import configure_logs

    found = source(flags, "control-plane")
    config, logging = control_plane_config(found), log_config(found)
    configure_logs(logging.level, logging.form)
    from mvm_ci.wiring.running import run_control_plane

    run_control_plane(config)

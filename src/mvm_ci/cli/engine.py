"""``mvm-ci engine``."""

from typing import Any

import click

from mvm_ci.cli.options import setting_options, source
from mvm_ci.config import settings


@click.command("engine")
@setting_options((*settings.ENGINE, *settings.LOGGING, *settings.FILE))
def engine(**flags: Any) -> None:  # noqa: ANN401 - text or tuples of it
    """Run an engine, for workers that have none of their own.

    It joins the control plane as a worker does, by ticket and join token, and runs what workers bring that
    were started with --engine URL. Runs until SIGTERM or Ctrl-C.
    """
    from mvm_ci.config.processes import engine_config, log_config
    from mvm_ci.logs import configure_logs

    found = source(flags, "engine")
    config, logging = engine_config(found), log_config(found)
    configure_logs(logging.level, logging.form)
    from mvm_ci.wiring.running import run_engine

    run_engine(config)

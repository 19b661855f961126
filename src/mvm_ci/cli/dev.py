"""``mvm-ci dev``."""

from typing import Any

import click

from mvm_ci.cli.options import setting_options, source
from mvm_ci.config import settings


@click.command()
@setting_options((*settings.DEV, *settings.LOGGING, *settings.FILE))
def dev(**flags: Any) -> None:  # noqa: ANN401 - text or tuples of it
    """Run a control plane and a worker on this machine, to try things.

    Everything stays on this machine and is closed: guests reach no network unless --allow-host says so.
    """
    from mvm_ci.config.processes import dev_config, log_config
    from mvm_ci.logs import configure_logs

    found = source(flags, "dev")
    config, logging = dev_config(found), log_config(found)
    configure_logs(logging.level, logging.form)
    from mvm_ci.wiring.running import run_dev

    run_dev(config)

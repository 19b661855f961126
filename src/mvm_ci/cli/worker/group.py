"""``mvm-ci worker``: runs a worker, or one of the commands on workers."""

from typing import Any

import click

from mvm_ci.cli.lazy import Lazy, LazyGroup
from mvm_ci.cli.options import setting_options, source
from mvm_ci.config import settings

COMMANDS = {
    "list": Lazy("mvm_ci.cli.worker.list", "list_workers", "List workers."),
    "show": Lazy("mvm_ci.cli.worker.show", "show", "Show one worker."),
    "drain": Lazy("mvm_ci.cli.worker.drain", "drain", "Give a worker nothing more; what it runs goes on."),
    "resume": Lazy("mvm_ci.cli.worker.resume", "resume", "Give a drained worker jobs again."),
    "revoke": Lazy("mvm_ci.cli.worker.revoke", "revoke", "Refuse a worker's key from now on, for good."),
    "forget": Lazy("mvm_ci.cli.worker.forget", "forget", "Remove a worker that is gone."),
}


@click.command(cls=LazyGroup, lazy=COMMANDS, invoke_without_command=True)
@setting_options((*settings.WORKER, *settings.LOGGING, *settings.FILE))
@click.pass_context
def worker(ctx: click.Context, /, **flags: Any) -> None:  # noqa: ANN401 - text or tuples of it
    """Run a worker, or look after workers.

    Without a command this runs a worker until SIGTERM or Ctrl-C. Its first start needs a join token; from
    then on it is known by its key.
    """
    if ctx.invoked_subcommand is not None:
        given = [param.opts[0] for param in ctx.command.params if param.name and flags.get(param.name)]
        if given:
            ctx.fail(f"{given[0]} is for running a worker, not for {ctx.invoked_subcommand}")
        return
    from mvm_ci.config.processes import log_config, worker_config
    from mvm_ci.logs import configure_logs

    found = source(flags, "worker")
    config, logging = worker_config(found), log_config(found)
    configure_logs(logging.level, logging.form)
    from mvm_ci.wiring.running import run_worker

    run_worker(config)

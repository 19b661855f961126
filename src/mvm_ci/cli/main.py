"""``mvm-ci``: the table of commands, and the way out of every one of them."""

import sys
from typing import Any, NoReturn

import click

from mvm_ci import __version__
from mvm_ci.cli import exits
from mvm_ci.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "dev": Lazy("mvm_ci.cli.dev", "dev", "Run a control plane and a worker on this machine, to try things."),
    "run": Lazy("mvm_ci.cli.run", "run", "Build a Python job, run it and print its result."),
    "build": Lazy("mvm_ci.cli.build", "build", "Build a Python job into a module."),
    "job": Lazy("mvm_ci.cli.job.group", "job", "Submit jobs and look after them."),
    "queue": Lazy("mvm_ci.cli.queue.group", "queue", "List, pause and resume queues."),
    "module": Lazy("mvm_ci.cli.module.group", "module", "Push and list modules."),
    "status": Lazy("mvm_ci.cli.status", "status", "Show the control plane at a glance."),
    "control-plane": Lazy("mvm_ci.cli.control_plane", "control_plane", "Run a control plane."),
    "worker": Lazy("mvm_ci.cli.worker.group", "worker", "Run a worker, or look after workers."),
    "join-token": Lazy(
        "mvm_ci.cli.join_token.group", "join_token", "Create and list permissions to become a worker."
    ),
    "config": Lazy("mvm_ci.cli.config.group", "config", "Look at the settings."),
    "profile": Lazy(
        "mvm_ci.cli.profile.group", "profile", "Keep addresses and tokens of several control planes."
    ),
    "completion": Lazy(
        "mvm_ci.cli.completion", "completion", "Print what makes a shell complete commands and options."
    ),
}


class Root(LazyGroup):
    """The root command: whatever a command raises leaves as one line and an exit code."""

    def main(self, *args: Any, **options: Any) -> NoReturn:  # noqa: ANN401 - click's own
        """Runs a command line and exits."""
        options["standalone_mode"] = False
        try:
            outcome = super().main(*args, **options)
            # click returns the code of ctx.exit() in this mode, and a command's own value: None.
            code = outcome if isinstance(outcome, int) else exits.OK
            sys.stdout.flush()
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last line of defence
            code = exits.report(error)
        sys.exit(code)


@click.command(cls=Root, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mvm-ci", message="%(prog)s %(version)s")
def root() -> None:
    """Run WebAssembly jobs that survive the loss of the machine they run on."""


def main() -> NoReturn:
    """The entry point of ``mvm-ci``."""
    root.main(prog_name="mvm-ci")

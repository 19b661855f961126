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
    "journal": Lazy("mvm_ci.cli.journal.group", "journal", "Look at what jobs did."),
    "replay": Lazy(
        "mvm_ci.cli.replay.command", "replay", "Run a job again from its journal, here, without effects."
    ),
    "queue": Lazy("mvm_ci.cli.queue.group", "queue", "List, pause and resume queues."),
    "limits": Lazy("mvm_ci.cli.limits", "limits", "Show the concurrency keys that are in use or waited for."),
    "schedule": Lazy("mvm_ci.cli.schedule.group", "schedule", "Submit jobs at set times, again and again."),
    "events": Lazy("mvm_ci.cli.events", "events", "Show what happens to jobs."),
    "artifact": Lazy(
        "mvm_ci.cli.artifact.group",
        "artifact",
        "List and download what jobs keep, upload what they are given.",
    ),
    "module": Lazy("mvm_ci.cli.module.group", "module", "Push modules, publish versions, list them."),
    "secret": Lazy("mvm_ci.cli.secret.group", "secret", "Keep secrets, and say whose jobs may read them."),
    "status": Lazy("mvm_ci.cli.status", "status", "Show the control plane at a glance."),
    "validate": Lazy(
        "mvm_ci.cli.validate", "validate", "Check a running cluster with jobs of its own, and report."
    ),
    "plan": Lazy(
        "mvm_ci.cli.plan", "plan", "Say which option fits, how large, by which commands, and when to move on."
    ),
    "decide": Lazy(
        "mvm_ci.cli.decide",
        "decide",
        "Answer from load tests: proceed with option 1, an engine in each worker?",
    ),
    "loadtest": Lazy(
        "mvm_ci.cli.loadtest", "loadtest", "Find how many workers an engine, or a control plane, serves."
    ),
    "control-plane": Lazy("mvm_ci.cli.control_plane", "control_plane", "Run a control plane."),
    "worker": Lazy("mvm_ci.cli.worker.group", "worker", "Run a worker, or look after workers."),
    "engine": Lazy("mvm_ci.cli.engine", "engine", "Run an engine, for workers that have none of their own."),
    "token": Lazy("mvm_ci.cli.token.group", "token", "Create, list and revoke API tokens."),
    "namespace": Lazy("mvm_ci.cli.namespace.group", "namespace", "Create namespaces, limit and delete them."),
    "audit": Lazy("mvm_ci.cli.audit", "audit", "Show who did what, or was refused, newest first."),
    "whoami": Lazy(
        "mvm_ci.cli.whoami", "whoami", "Show the token in use: its role, its namespace, when it expires."
    ),
    "join-token": Lazy(
        "mvm_ci.cli.join_token.group", "join_token", "Create, list and revoke permissions to become a worker."
    ),
    "backup": Lazy(
        "mvm_ci.cli.backup.group", "backup", "Back up a control plane's state on its machine, and restore it."
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

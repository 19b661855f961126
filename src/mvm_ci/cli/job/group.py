"""``mvm-ci job``: the table of its commands."""

import click

from mvm_ci.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "submit": Lazy("mvm_ci.cli.job.submit", "submit", "Submit a job; print its id."),
    "list": Lazy("mvm_ci.cli.job.list", "list_jobs", "List jobs, newest first."),
    "show": Lazy("mvm_ci.cli.job.show", "show", "Show one job."),
    "wait": Lazy("mvm_ci.cli.job.wait", "wait", "Wait for the end of a job."),
    "result": Lazy("mvm_ci.cli.job.result", "result", "Print the result of a job."),
    "logs": Lazy("mvm_ci.cli.job.logs", "logs", "Print what a job wrote."),
    "cancel": Lazy("mvm_ci.cli.job.cancel", "cancel", "Cancel a job."),
    "journal": Lazy("mvm_ci.cli.job.journal", "journal", "Show the journal of a job: what it did, where."),
}


@click.command(cls=LazyGroup, lazy=COMMANDS)
def job() -> None:
    """Submit jobs and look after them.

    JOB is a job's id or at least four characters of its beginning.
    """

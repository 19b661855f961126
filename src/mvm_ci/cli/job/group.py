"""``mvm-ci job``: the table of its commands."""

import click

from mvm_ci.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "submit": Lazy("mvm_ci.cli.job.submit", "submit", "Submit a job, or many; print their ids."),
    "list": Lazy("mvm_ci.cli.job.list", "list_jobs", "List jobs, newest first."),
    "show": Lazy("mvm_ci.cli.job.show", "show", "Show one job."),
    "wait": Lazy("mvm_ci.cli.job.wait", "wait", "Wait for the end of a job."),
    "result": Lazy("mvm_ci.cli.job.result", "result", "Print the result of a job."),
    "logs": Lazy("mvm_ci.cli.job.logs", "logs", "Print what a job wrote."),
    "explain": Lazy("mvm_ci.cli.job.explain", "explain", "Say what keeps a job waiting."),
    "message": Lazy("mvm_ci.cli.job.message", "message", "Send a message to a job that has not ended."),
    "cancel": Lazy("mvm_ci.cli.job.change", "cancel", "Cancel jobs."),
    "pause": Lazy("mvm_ci.cli.job.change", "pause", "Park jobs until they are resumed."),
    "resume": Lazy("mvm_ci.cli.job.change", "resume", "Let paused jobs go on."),
    "retry": Lazy("mvm_ci.cli.job.change", "retry", "Let failed, cancelled or dead jobs try again."),
    "fork": Lazy("mvm_ci.cli.job.fork", "fork", "Make a new job of the beginning of another one's journal."),
    "delete": Lazy("mvm_ci.cli.job.change", "delete", "Remove jobs that have ended, with their journals."),
}


@click.command(cls=LazyGroup, lazy=COMMANDS)
def job() -> None:
    """Submit jobs and look after them.

    JOB is a job's id or at least four characters of its beginning.
    """

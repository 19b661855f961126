"""``mvm-ci artifact``: the table of its commands."""

import click

from mvm_ci.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "list": Lazy("mvm_ci.cli.artifact.list", "list_artifacts", "List the artifacts of a job."),
    "get": Lazy("mvm_ci.cli.artifact.get", "get", "Download an artifact of a job."),
    "put": Lazy("mvm_ci.cli.artifact.put", "put", "Upload files for jobs to come; print their digests."),
}


@click.command(cls=LazyGroup, lazy=COMMANDS)
def artifact() -> None:
    """List and download what jobs keep, upload what they are given.

    JOB is a job's id or at least four characters of its beginning.
    """

"""``mvm-ci artifact list``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import ArtifactView


@click.command("list")
@click.argument("job")
@client_options
def list_artifacts(*, job: str, url: str | None, token_file: str | None, as_json: bool) -> None:
    """List the artifacts of a job.

    Those that it was given are there, too.
    """
    from mvm_ci.cli import output
    from mvm_ci.cli.naming import find_job

    async def work(client: "ApiClient") -> tuple["ArtifactView", ...]:
        return await client.artifacts(await find_job(client, job))

    views = ask(url, token_file, work)
    if as_json:
        output.print_json({"artifacts": [output.fields(view) for view in views]})
        return
    output.print_table(
        ("NAME", "SIZE", "FROM", "MEDIA", "PUT", "DIGEST"),
        (
            (
                view.name,
                output.size(view.size),
                "user" if view.input else "job",
                view.media,
                output.local(view.created_ms),
                view.digest[:12],
            )
            for view in views
        ),
        cut=("NAME", "MEDIA"),
    )

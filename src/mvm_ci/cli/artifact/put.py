"""``mvm-ci artifact put``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import UploadView


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@client_options
def put(*, files: tuple[str, ...], url: str | None, token_file: str | None, as_json: bool) -> None:
    """Upload files for jobs to come; print their digests.

    What the namespace holds already does not travel again. A job is given it with 'job submit --artifact
    NAME=sha256:DIGEST'; what no job was given goes after a day.
    """
    from mvm_ci.cli import output
    from mvm_ci.cli.uploads import uploaded

    async def work(client: "ApiClient") -> list["UploadView"]:
        return [await uploaded(client, file) for file in files]

    views = ask(url, token_file, work)
    if as_json:
        shown = [{"file": file, **output.fields(view)} for file, view in zip(files, views, strict=True)]
        output.print_json({"uploads": shown})
        return
    for view in views:
        click.echo(view.digest)

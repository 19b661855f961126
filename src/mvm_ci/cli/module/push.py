"""``mvm-ci module push``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import ModuleView


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", default="", help="A name for it.  [default: that of its manifest]")
@client_options
def push(*, file: Path, name: str, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Store a module; print its digest."""
    from mvm_ci.cli import output
    from mvm_ci.cli.naming import read_file
    from mvm_ci.domain.module import inspect

    data = read_file(file)
    # Known to be no module before it travels; the control plane looks again.
    inspect(data)

    async def work(client: "ApiClient") -> "ModuleView":
        return await client.push_module(data, name)

    view = ask(url, token_file, work)
    if as_json:
        output.print_json(output.fields(view))
    else:
        click.echo(view.digest)

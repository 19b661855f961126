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
@click.option("--version", help="Publish it as this version of its name, for good.")
@client_options
def push(
    *, file: Path, name: str, version: str | None, url: str | None, token_file: str | None, as_json: bool
) -> None:
    """Store a module; print its digest.

    With --version, NAME and NAME@VERSION stand for it from then on. What was published stays as it is: the
    same again changes nothing, another module is refused.
    """
    from mvm_ci.cli import output
    from mvm_ci.cli.naming import read_file
    from mvm_ci.domain.module import inspect

    data = read_file(file)
    # Known to be no module before it travels; the control plane looks again.
    manifest = inspect(data).manifest
    published = None if version is None else (name or (manifest.name if manifest else ""), version)
    if published is not None:
        _check(*published)

    async def work(client: "ApiClient") -> "ModuleView":
        view = await client.push_module(data, name)
        if published is not None:
            await client.publish_module(*published, view.digest)
        return view

    view = ask(url, token_file, work)
    if as_json:
        output.print_json(output.fields(view) | {"published": "@".join(published) if published else None})
    else:
        click.echo(view.digest)


def _check(name: str, version: str) -> None:
    """Raises ``BadInput`` for what cannot be published, before anything travels."""
    from mvm_ci.domain.errors import BadInput
    from mvm_ci.domain.module_names import check_name, check_version

    if not name:
        raise BadInput("--version is of a name, and the module's manifest has none: give --name, too")
    check_name(name)
    check_version(version)

"""``mvm-ci module delete``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.confirm import confirm, yes_option
from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import ModuleVersionView


@click.command()
@click.argument("version", metavar="NAME@VERSION")
@yes_option
@client_options
def delete(*, version: str, yes: bool, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Delete a version of a name; the module stays.

    Its jobs go on. The name alone then stands for the version that was published before it; whoever names the
    version itself finds nothing any more.
    """
    from mvm_ci.cli import output
    from mvm_ci.domain.errors import BadInput
    from mvm_ci.domain.module_names import parse_reference

    reference = parse_reference(version)
    if reference is None or reference.version is None:
        raise BadInput(f"{version!r} is not NAME@VERSION; 'mvm-ci module versions' shows what there is")
    asked = (reference.name, reference.version)
    confirm(f"delete the version {version}", yes=yes)

    async def work(client: "ApiClient") -> "ModuleVersionView":
        return await client.unpublish_module(*asked)

    view = ask(url, token_file, work)
    if as_json:
        output.print_json(output.fields(view))
    else:
        click.echo(f"{view.name}@{view.version}: deleted")

"""``mvm-ci module delete``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.confirm import confirm, yes_option
from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import ModuleVersionView, ModuleView


@click.command()
@click.argument("module", metavar="NAME@VERSION|DIGEST")
@yes_option
@client_options
def delete(*, module: str, yes: bool, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Delete a version of a name, or a module.

    Of a version the module stays; the name alone then stands for the version that was published before it. A
    module is taken out of the namespace by its digest or the beginning of it, if no version stands for it.
    Jobs go on either way.
    """
    from mvm_ci.cli import output
    from mvm_ci.cli.naming import find_module_by_digest, may_be_digest
    from mvm_ci.domain.errors import BadInput
    from mvm_ci.domain.module_names import parse_reference

    reference = parse_reference(module)
    name, version = (None, None) if reference is None else reference
    if version is None and not may_be_digest(module):
        raise BadInput(
            f"{module!r} is neither NAME@VERSION nor a digest; see 'mvm-ci module versions' and 'list'"
        )
    confirm(f"delete the {'module' if version is None else 'version'} {module}", yes=yes)

    async def work(client: "ApiClient") -> "ModuleView | ModuleVersionView":
        if name is not None and version is not None:
            return await client.unpublish_module(name, version)
        return await client.delete_module((await find_module_by_digest(client, module)).digest)

    view = ask(url, token_file, work)
    if as_json:
        output.print_json(output.fields(view))
    else:
        click.echo(f"{view.digest if version is None else module}: deleted")

"""``mvm-ci module versions``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import ModuleVersionList, ModuleVersionView


@click.command()
@click.argument("name", required=False)
@client_options
def versions(*, name: str | None, url: str | None, token_file: str | None, as_json: bool) -> None:
    """List names of modules, or a name's versions.

    Without NAME, each name with the version that was published last, which the name alone stands for. Of one
    name all its versions, that one first.
    """
    from mvm_ci.cli import output

    async def page(client: "ApiClient", cursor: str | None = None) -> "ModuleVersionList":
        if name is None:
            return await client.module_names(cursor=cursor)
        return await client.module_versions(name, cursor=cursor)

    async def work(client: "ApiClient") -> list["ModuleVersionView"]:
        part = await page(client)
        found = list(part.versions)
        while part.cursor is not None:
            part = await page(client, part.cursor)
            found += part.versions
        return found

    views = ask(url, token_file, work)
    if as_json:
        output.print_json({"versions": [output.fields(view) for view in views]})
        return
    output.print_table(
        ("NAME", "VERSION", "DIGEST", "PUBLISHED"),
        ((view.name, view.version, view.digest[:12], output.local(view.created_ms)) for view in views),
        cut=("NAME", "VERSION"),
    )

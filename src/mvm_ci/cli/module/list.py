"""``mvm-ci module list``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import ModuleView


@click.command("list")
@client_options
def list_modules(*, url: str | None, token_file: str | None, as_json: bool) -> None:
    """List modules, newest first."""
    from mvm_ci.cli import output

    async def work(client: "ApiClient") -> tuple["ModuleView", ...]:
        return await client.modules()

    views = ask(url, token_file, work)
    if as_json:
        output.print_json({"modules": [output.fields(view) for view in views]})
        return
    output.print_table(
        ("DIGEST", "NAME", "KIND", "SIZE", "CREATED", "HOSTS"),
        (
            (
                view.digest[:12],
                view.name,
                view.kind,
                output.size(view.size),
                output.local(view.created_ms),
                " ".join(view.allow_hosts),
            )
            for view in views
        ),
        cut=("NAME", "HOSTS"),
    )

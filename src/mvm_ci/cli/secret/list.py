"""``mvm-ci secret list``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import SecretView


@click.command("list")
@client_options
def list_secrets(*, url: str | None, token_file: str | None, as_json: bool) -> None:
    """List secrets, without their values."""
    from mvm_ci.cli import output

    async def work(client: "ApiClient") -> tuple["SecretView", ...]:
        return await client.secrets()

    views = ask(url, token_file, work)
    if as_json:
        output.print_json({"secrets": [output.fields(view) for view in views]})
        return
    output.print_table(
        ("NAME", "VERSION", "CHANGED", "MODULES"),
        ((view.name, view.version, output.local(view.changed_ms), " ".join(view.modules)) for view in views),
        cut=("MODULES",),
    )

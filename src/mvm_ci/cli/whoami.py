"""``mvm-ci whoami``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import WhoAmI


@click.command()
@client_options
def whoami(*, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Show the token in use: its role, its namespace, when it expires."""
    from mvm_ci.cli import output

    async def work(client: "ApiClient") -> "WhoAmI":
        return await client.whoami()

    view = ask(url, token_file, work)
    if as_json:
        output.print_json(output.fields(view))
        return
    output.print_fields(
        (
            ("token", f"{view.name} ({view.id})"),
            ("role", view.role),
            ("scope", "all namespaces" if view.scope == "*" else f"namespace {view.scope}"),
            ("works in", view.namespace),
            ("expires", output.when(view.expires_ms) or "never"),
        )
    )

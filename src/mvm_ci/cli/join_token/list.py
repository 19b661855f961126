"""``mvm-ci join-token list``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import JoinTokenView


@click.command("list")
@client_options
def list_join_tokens(*, url: str | None, token_file: str | None, as_json: bool) -> None:
    """List join tokens, without their secrets."""
    from mvm_ci.cli import output

    async def work(client: "ApiClient") -> tuple["JoinTokenView", ...]:
        return await client.join_tokens()

    views = ask(url, token_file, work)
    if as_json:
        output.print_json({"tokens": [output.fields(view) for view in views]})
        return
    output.print_table(
        ("ID", "NAME", "USES LEFT", "CREATED", "EXPIRES"),
        (
            (
                view.id,
                view.name,
                f"{view.uses_left} of {view.uses}" if view.uses else view.uses_left,
                output.local(view.created_ms),
                output.local(view.expires_ms),
            )
            for view in views
        ),
        cut=("NAME",),
    )

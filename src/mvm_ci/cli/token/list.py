"""``mvm-ci token list``."""

import time
from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import TokenView


@click.command("list")
@client_options
def list_tokens(*, url: str | None, token_file: str | None, as_json: bool) -> None:
    """List API tokens, without their secrets.

    Those of all namespaces that the token in use reaches, revoked and expired ones too.
    """
    from mvm_ci.cli import output

    async def work(client: "ApiClient") -> tuple["TokenView", ...]:
        return await client.tokens()

    views = ask(url, token_file, work)
    if as_json:
        output.print_json({"tokens": [output.fields(view) for view in views]})
        return
    output.print_table(
        ("ID", "NAME", "ROLE", "NAMESPACE", "STATE", "EXPIRES", "LAST USED", "CREATED BY"),
        (
            (
                view.id,
                view.name,
                view.role,
                view.namespace,
                _state(view),
                output.local(view.expires_ms) or "never",
                output.ago(view.last_used_ms) or "never",
                view.created_by,
            )
            for view in views
        ),
        cut=("NAME", "CREATED BY"),
    )


def _state(view: "TokenView") -> str:
    if view.revoked_ms is not None:
        return "revoked"
    if view.expires_ms is not None and view.expires_ms <= time.time() * 1000:
        return "expired"
    return "valid"

"""``mvm-ci token create``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import as_seconds, client_options
from mvm_ci.domain.role import Role

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import TokenView


@click.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.SUBMITTER.value,
    show_default=True,
    help="What it allows.",
)
@click.option("--all-namespaces", is_flag=True, help="For all namespaces, not for the one in use.")
@click.option(
    "--ttl", default="90d", callback=as_seconds, metavar="DURATION", help="How long it lasts.  [default: 90d]"
)
@click.option("--no-expiry", is_flag=True, help="It lasts until it is revoked.")
@client_options
def create(
    *,
    name: str,
    role: str,
    all_namespaces: bool,
    ttl: float,
    no_expiry: bool,
    url: str | None,
    token_file: str | None,
    as_json: bool,
) -> None:
    """Create an API token and print it, this once.

    NAME is for people: who or what uses it. The token is for the namespace in use, and never allows more
    than the one with which it is made.
    """
    from mvm_ci.cli import output
    from mvm_ci.domain.errors import ProtocolError
    from mvm_ci.ports.access import ALL_NAMESPACES

    async def work(client: "ApiClient") -> "TokenView":
        return await client.create_token(
            name,
            Role(role),
            namespace=ALL_NAMESPACES if all_namespaces else None,
            ttl_s=None if no_expiry else max(1, round(ttl)),
        )

    view = ask(url, token_file, work)
    if view.token is None:
        raise ProtocolError("the control plane made a token but did not tell its secret")
    if as_json:
        output.print_json(output.fields(view))
        return
    click.echo(view.token)
    until = output.when(view.expires_ms) or "it is revoked"
    where = "all namespaces" if view.namespace == ALL_NAMESPACES else f"namespace {view.namespace}"
    output.note(f"{view.id}: {view.role} in {where} until {until}; the secret is not shown again")

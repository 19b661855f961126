"""``mvm-ci join-token create``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import as_seconds, client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import JoinTokenView


@click.command()
@click.option(
    "--uses", type=click.IntRange(1), default=1, show_default=True, help="How many workers may join with it."
)
@click.option(
    "--ttl", default="1h", callback=as_seconds, metavar="DURATION", help="How long it lasts.  [default: 1h]"
)
@click.option("--name", default="", help="What it is for.")
@client_options
def create(
    *, uses: int, ttl: float, name: str, url: str | None, token_file: str | None, as_json: bool
) -> None:
    """Create a join token and print it, this once."""
    from mvm_ci.cli import output
    from mvm_ci.domain.errors import ProtocolError

    async def work(client: "ApiClient") -> "JoinTokenView":
        return await client.create_join_token(uses, max(1, round(ttl)), name)

    view = ask(url, token_file, work)
    if view.token is None:
        raise ProtocolError("the control plane made a join token but did not tell its secret")
    if as_json:
        output.print_json(output.fields(view))
        return
    click.echo(view.token)
    output.note(f"for {view.uses_left} worker(s) until {output.when(view.expires_ms)}; it is not shown again")

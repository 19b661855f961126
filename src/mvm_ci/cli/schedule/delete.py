"""``mvm-ci schedule delete``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.confirm import confirm, yes_option
from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient


@click.command()
@click.argument("name")
@yes_option
@client_options
def delete(*, name: str, yes: bool, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Delete a schedule; its jobs go on."""
    from mvm_ci.cli import output

    confirm(f"delete the schedule {name}", yes=yes)

    async def work(client: "ApiClient") -> None:
        await client.delete_schedule(name)

    ask(url, token_file, work)
    if as_json:
        output.print_json({"name": name})
    else:
        click.echo(output.safe_line(f"{name}: deleted"))

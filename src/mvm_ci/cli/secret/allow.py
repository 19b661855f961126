"""``mvm-ci secret allow``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options
from mvm_ci.cli.secret.shown import print_secret

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import SecretView


@click.command()
@click.argument("name")
@click.argument("allowed", nargs=-1, metavar="[MODULE]...")
@client_options
def allow(
    *, name: str, allowed: tuple[str, ...], url: str | None, token_file: str | None, as_json: bool
) -> None:
    """Say whose jobs may read a secret from now on.

    MODULE is a published name, NAME@VERSION, a digest, or * for all. Those not named may not
    any more; without any, nobody may. Jobs that were submitted keep it.
    """

    async def work(client: "ApiClient") -> "SecretView":
        return await client.allow_secret(name, allowed)

    print_secret(ask(url, token_file, work), as_json=as_json)

"""``mvm-ci secret rotate``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options
from mvm_ci.cli.secret.shown import print_secret
from mvm_ci.cli.secret.value import read_value, value_option

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import SecretView


@click.command()
@click.argument("name")
@value_option
@client_options
def rotate(*, name: str, file: Path | None, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Give a secret that there is a new value.

    Jobs that have read it go on with what they read; all others get the new value. It is read as by set.
    """
    value = read_value(file)

    async def work(client: "ApiClient") -> "SecretView":
        return await client.rotate_secret(name, value)

    print_secret(ask(url, token_file, work), as_json=as_json)

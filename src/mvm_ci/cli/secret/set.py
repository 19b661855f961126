"""``mvm-ci secret set``."""

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


@click.command("set")
@click.argument("name")
@click.option(
    "--module",
    "modules",
    multiple=True,
    metavar="MODULE",
    help="Whose jobs may read it: a published name, NAME@VERSION, a digest, or * for all; may be repeated.  "
    "[default: as before; of a new secret nobody's]",
)
@value_option
@client_options
def set_secret(
    *,
    name: str,
    modules: tuple[str, ...],
    file: Path | None,
    url: str | None,
    token_file: str | None,
    as_json: bool,
) -> None:
    """Make a secret, or give it a new value.

    The value is read from stdin or a file; a line end at its end is not part of it. Nobody can read it back.
    """
    value = read_value(file)

    async def work(client: "ApiClient") -> "SecretView":
        return await client.set_secret(name, value, modules=modules or None)

    print_secret(ask(url, token_file, work), as_json=as_json)

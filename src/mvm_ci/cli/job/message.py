"""``mvm-ci job message``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import MessageView


@click.command()
@click.argument("to", metavar="JOB")
@click.option(
    "--body",
    default="null",
    show_default=True,
    metavar="JSON",
    help="What it says; @FILE reads a file, - reads stdin.",
)
@click.option("--type", "kind", default="", metavar="TYPE", help="By which the job waits for it.")
@click.option("--key", default=None, metavar="KEY", help="Sent again with the same key, it is there once.")
@client_options
def message(
    *, to: str, body: str, kind: str, key: str | None, url: str | None, token_file: str | None, as_json: bool
) -> None:
    """Send a message to a job that has not ended.

    JOB is its id, at least four characters of its beginning, or the idempotency key it was submitted with.
    """
    from mvm_ci.cli import output
    from mvm_ci.cli.inputs import read_input
    from mvm_ci.cli.naming import find_job
    from mvm_ci.domain.errors import BadInput, NotFound

    raw = read_input(body, "--body")

    async def work(client: "ApiClient") -> "MessageView":
        try:
            found = await find_job(client, to)
        except (BadInput, NotFound):
            found = to  # an idempotency key, or the API says what is wrong
        return await client.send_message(found, raw, kind=kind, key=key)

    sent = ask(url, token_file, work)
    if as_json:
        output.print_json(output.fields(sent))
    else:
        click.echo(sent.job)

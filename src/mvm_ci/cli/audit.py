"""``mvm-ci audit``."""

import time
from typing import TYPE_CHECKING

import click

from mvm_ci.cli.connection import ask
from mvm_ci.cli.options import as_seconds, client_options

if TYPE_CHECKING:
    from mvm_ci.client import ApiClient
    from mvm_ci.wire.api import AuditView


@click.command()
@click.option("--actor", metavar="TOKEN", help="Only what the token with this id or name did.")
@click.option("--action", metavar="ACTION", help="Only this action, e.g. token.create.")
@click.option(
    "--max-age", callback=as_seconds, metavar="DURATION", help="Only entries that are not older, e.g. 2h."
)
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most so many."
)
@client_options
def audit(
    *,
    actor: str | None,
    action: str | None,
    max_age: float | None,
    limit: int,
    url: str | None,
    token_file: str | None,
    as_json: bool,
) -> None:
    """Show who did what, or was refused, newest first.

    With --namespace only what was done in that one.
    """
    from mvm_ci.cli import output

    since_ms = None if max_age is None else max(0, round((time.time() - max_age) * 1000))

    async def work(client: "ApiClient") -> tuple["AuditView", ...]:
        return await client.audit(
            since_ms=since_ms, actor=actor, action=action, namespace=client.namespace, limit=limit
        )

    views = ask(url, token_file, work)
    if as_json:
        output.print_json({"entries": [output.fields(view) for view in views]})
        return
    output.print_table(
        ("TIME", "TOKEN", "NAME", "ADDRESS", "NAMESPACE", "ACTION", "TARGET", "OUTCOME"),
        (
            (
                output.local(view.at_ms),
                view.token,
                view.name,
                view.address,
                view.namespace,
                view.action,
                view.target,
                view.outcome,
            )
            for view in views
        ),
        cut=("NAME", "ADDRESS", "TARGET"),
    )

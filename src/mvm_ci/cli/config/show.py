"""``mvm-ci config show``."""

from typing import TYPE_CHECKING

import click

from mvm_ci.cli.options import client_options, source

if TYPE_CHECKING:
    from mvm_ci.config.show import Shown


@click.command()
@client_options
def show(*, url: str | None, token_file: str | None, as_json: bool) -> None:
    """Show every setting and where its value comes from.

    The sections are those of the configuration file; client is for the commands that ask a control plane.
    Secrets are masked.
    """
    from dataclasses import asdict

    from mvm_ci.cli import output
    from mvm_ci.config.show import shown_settings

    rows = shown_settings(source({"url": url, "token_file": token_file}))
    if as_json:
        output.print_json({"settings": [asdict(row) for row in rows]})
        return
    output.print_table(
        ("SETTING", "VALUE", "FROM"),
        ((f"{row.section}.{row.key}", _value(row), _from(row)) for row in rows),
        cut=("VALUE", "FROM"),
    )


def _value(row: "Shown") -> str:
    if row.value is None:
        return "-"
    return row.value if isinstance(row.value, str) else ", ".join(row.value) or "-"


def _from(row: "Shown") -> str:
    return row.source if row.where is None else f"{row.source} {row.where}"

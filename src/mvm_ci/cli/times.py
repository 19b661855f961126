"""Points in time on the command line."""

import time
from datetime import datetime

import click


def as_unix_ms(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """The callback of an option such as ``--run-at TIME``; the command gets Unix milliseconds."""
    if value is None:
        return None
    try:
        return parse_time(value, time.time())
    except ValueError as error:
        raise click.BadParameter(f"{value!r} {error}", ctx, param) from None


def parse_time(text: str, now_s: float) -> int:
    """Unix milliseconds of ``2030-01-31T18:00:00+01:00``, or of ``+90m``: from now on.

    Raises ``ValueError`` with the end of a sentence.
    """
    from mvm_ci.config.parsers import duration

    typed = text.strip()
    if typed.startswith("+"):
        return round((now_s + duration(typed[1:])) * 1000)
    try:
        found = datetime.fromisoformat(typed)
    except ValueError:
        raise ValueError("is no time such as 2030-01-31T18:00:00Z or +90m") from None
    if found.tzinfo is None:
        raise ValueError("has no time zone; add Z, or an offset such as +01:00")
    return round(found.timestamp() * 1000)

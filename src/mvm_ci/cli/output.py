"""What commands print: data on stdout, as JSON or as a table; everything else on stderr."""

import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import click
import msgspec


def print_json(value: object) -> None:
    """One JSON document."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def fields(view: msgspec.Struct) -> dict[str, object]:
    """All fields of an answer, also those that the wire leaves out: scripts want a fixed shape."""
    return {key: value for key, value in msgspec.structs.asdict(view).items() if value is not msgspec.UNSET}


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, cut: Sequence[str] = ()) -> None:
    """A table, one line a row. A terminal that is too narrow gets the columns ``cut`` cut off, with …"""
    cells = [[safe_line("" if value is None else str(value)) for value in row] for row in rows]
    if sys.stdout.isatty():
        _print_rich(columns, cells, cut)
        return
    widths = [max(len(row[at]) for row in [list(columns), *cells]) for at in range(len(columns))]
    for row in [list(columns), *cells]:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def print_fields(pairs: Iterable[tuple[str, object]]) -> None:
    """Names and values, one pair a line; what is None is left out."""
    shown = [(name, str(value)) for name, value in pairs if value is not None]
    width = max(len(name) for name, _ in shown)
    for name, value in shown:
        click.echo(f"{name.ljust(width)}  {safe_line(value)}")


def note(text: str) -> None:
    """A line for the person at the terminal."""
    click.echo(text, err=True)


def safe_line(text: str) -> str:
    """Text of others on one line: nothing in it can drive the terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def safe_text(text: str) -> str:
    """The same with its lines and tabs."""
    return "".join(char if char.isprintable() or char in "\n\t" else repr(char)[1:-1] for char in text)


def when(unix_ms: int | None) -> str | None:
    """A time for people, in their zone, with the zone."""
    if unix_ms is None:
        return None
    return datetime.fromtimestamp(unix_ms / 1000).astimezone().isoformat(sep=" ", timespec="seconds")


def local(unix_ms: int | None) -> str | None:
    """The same for a table, without the zone."""
    if unix_ms is None:
        return None
    return datetime.fromtimestamp(unix_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def ago(unix_ms: int | None, now_s: float | None = None) -> str | None:
    """How long ago a time was, for a table."""
    if unix_ms is None:
        return None
    seconds = (time.time() if now_s is None else now_s) - unix_ms / 1000
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"


def size(count: int) -> str:
    """A number of bytes for people."""
    for unit, least in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= least:
            return f"{count / least:.1f} {unit}"
    return f"{count} B"


def _print_rich(columns: Sequence[str], cells: Sequence[Sequence[str]], cut: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns:
        # Only a column that might wrap is made narrower; its cells are cut instead.
        table.add_column(name, no_wrap=name not in cut)
    for row in cells:
        table.add_row(*(Text(cell, no_wrap=True, overflow="ellipsis") for cell in row))
    Console().print(table)

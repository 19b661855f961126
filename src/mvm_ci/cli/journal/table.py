"""Journal entries in columns, each printed as it comes."""

import shutil
import sys
from typing import TYPE_CHECKING, Final

import click
import msgspec

from mvm_ci.cli import output

if TYPE_CHECKING:
    from mvm_ci.wire.api import JournalEntry

_COLUMNS: Final = ("ENTRY", "TIME", "KIND", "BYTES", "WHAT", "ANSWER")
_WIDTHS: Final = (6, 23, 10, 6)
"""Of all but the last two, which have what is left of the line."""
_GAP: Final = "  "
_LINE: Final = 132
"""Columns of a line that nobody looks at on a terminal."""
_LEAST: Final = 16
_encode: Final = msgspec.json.Encoder().encode


def print_entry(entry: "JournalEntry") -> None:
    """One JSON object."""
    click.echo(_encode(output.fields(entry)))


class JournalTable:
    """``full``: nothing is cut, and all fields of an entry follow it."""

    def __init__(self, *, full: bool) -> None:
        self._full = full
        self._attempt: int | None = None
        line = shutil.get_terminal_size().columns if sys.stdout.isatty() else _LINE
        left = max(line - sum(_WIDTHS) - len(_GAP) * len(_WIDTHS), 2 * _LEAST + len(_GAP))
        self._what = (left - len(_GAP)) * 3 // 5
        self._answer = left - len(_GAP) - self._what

    def add(self, entry: "JournalEntry") -> None:
        """Prints an entry; before the first of an attempt, what it is."""
        if entry.attempt != self._attempt:
            if self._attempt is not None:
                click.echo(f"attempt {entry.attempt}")
            else:
                self._print(_COLUMNS)
            self._attempt = entry.attempt
        time = "" if entry.at_ms is None else f"{output.local(entry.at_ms)}.{entry.at_ms % 1000:03d}"
        self._print((str(entry.index), time, entry.kind, str(entry.bytes), entry.summary, entry.answer))
        if self._full:
            for name, value in entry.fields.items():
                click.echo(f"{_GAP * 4}{name}: {output.safe_line(_encode(value).decode())}")

    def _print(self, cells: tuple[str, ...]) -> None:
        safe = [output.safe_line(cell) for cell in cells]
        parts = [cell.ljust(width) for cell, width in zip(safe, _WIDTHS, strict=False)]
        what, answer = safe[-2:]
        if not self._full:
            what, answer = _cut(what, self._what), _cut(answer, self._answer)
        click.echo(_GAP.join([*parts, what.ljust(self._what), answer]).rstrip())


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"

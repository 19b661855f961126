"""Tables before they are written, and the three forms in which they are."""

from html import escape
from typing import Final

import msgspec

from mvm_ci.reporting import html

_SPECIAL: Final = str.maketrans({"|": r"\|", "<": "&lt;", "&": "&amp;", "\n": " "})


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Cells are text. ``words``: the columns that hold no figures, counted from 0."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[int, ...] = (0,)

    def without_empty(self) -> "Table":
        """Without the columns in which no row says anything."""
        kept = [at for at in range(len(self.head)) if any(row[at] for row in self.rows)]
        return Table(
            head=tuple(self.head[at] for at in kept),
            rows=tuple(tuple(row[at] for at in kept) for row in self.rows),
            words=tuple(now for now, at in enumerate(kept) if at in self.words),
        )


def as_html(table: Table) -> str:
    """One that scrolls where the page is too narrow for it."""
    names = (
        f'<th class="{"" if at in table.words else "figure"}">{escape(name)}</th>'
        for at, name in enumerate(table.head)
    )
    rows = (
        [html.cell(text) if at in table.words else html.figure(text) for at, text in enumerate(row)]
        for row in table.rows
    )
    return f'<div class="wide">{html.table(rows, html.row(names))}</div>'


def as_markdown(table: Table) -> str:
    """With a line for each row."""
    ruler = ("---" if at in table.words else "---:" for at in range(len(table.head)))
    lines = [_piped(table.head), f"|{'|'.join(ruler)}|", *(_piped(row) for row in table.rows)]
    return "\n".join(lines)


def as_text(table: Table) -> str:
    """In columns for a terminal."""
    lines = [table.head, *table.rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(table.head))]
    return "\n".join(
        "  ".join(
            text.ljust(widths[at]) if at in table.words else text.rjust(widths[at])
            for at, text in enumerate(line)
        ).rstrip()
        for line in lines
    )


def inline(text: str) -> str:
    """A text that Markdown shows as it is, in a table, too."""
    return text.translate(_SPECIAL)


def _piped(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(inline(text) for text in cells)} |"

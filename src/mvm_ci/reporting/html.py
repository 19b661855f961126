"""Pages and tables as HTML that is well-formed XML, too."""

from collections.abc import Iterable, Sequence
from html import escape

from mvm_ci.reporting import style
from mvm_ci.reporting.xml import allowed


def document(title: str, body: Iterable[str]) -> str:
    """A file that needs nothing beside it. ``title`` is text, ``body`` is HTML."""
    head = (
        f'<meta charset="utf-8"/><meta name="viewport" content="width=device-width"/>'
        f"<title>{escape(title)}</title><style>{style.of_page()}</style>"
    )
    parts = [f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>', *body, "</body></html>\n"]
    return allowed("\n".join(parts))


def table(rows: Iterable[Sequence[str]], top: str = "") -> str:
    """``rows`` are cells, ``top`` is a row as HTML."""
    return f"<table>{top}{''.join(row(cells) for cells in rows)}</table>"


def row(cells: Iterable[str]) -> str:
    """A row of a table."""
    return f"<tr>{''.join(cells)}</tr>"


def cell(text: str) -> str:
    """A cell of a table."""
    return f"<td>{escape(text)}</td>"


def figure(text: str) -> str:
    """A cell with a number."""
    return f'<td class="figure">{escape(text)}</td>'


def mark(text: str, kind: str) -> str:
    """A cell with a short word. ``kind``: passed, failed or open."""
    return f'<td class="mark {kind}">{escape(text)}</td>'


def items(lines: Sequence[str]) -> str:
    """A list of texts."""
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"

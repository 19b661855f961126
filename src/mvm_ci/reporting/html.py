"""Pages and tables as HTML that is well-formed XML, too."""

from collections.abc import Iterable, Sequence
from html import escape

from mvm_ci.reporting import style


def document(title: str, body: Iterable[str]) -> str:
    """A file that needs nothing beside it. ``title`` is text, ``body`` is HTML."""
    head = (
        f'<meta charset="utf-8"/><meta name="viewport" content="width=device-width"/>'
        f"<title>{escape(title)}</title><style>{style.of_page()}</style>"
    )
    parts = [f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>', *body, "</body></html>\n"]
    return "\n".join(parts)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """``head`` is text, all but the empty over figures; ``rows`` are cells."""
    names = "".join(f'<th class="{"figure" if name else ""}">{escape(name)}</th>' for name in head)
    top = f"<tr>{names}</tr>" if head else ""
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f"<table>{top}{body}</table>"


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

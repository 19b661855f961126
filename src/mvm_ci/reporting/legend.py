"""The legend of a plot: a row or more of samples with their names."""

from html import escape
from typing import Final

import msgspec

from mvm_ci.reporting import marks, style
from mvm_ci.reporting.chart import Chart

ROW: Final = 17
"""Height of a row."""
_SAMPLE: Final = 26
_LETTER: Final = 6.0
_GAP: Final = 16


class Entry(msgspec.Struct, frozen=True):
    """``kind``: of a line, or of what else a plot has; ``at``: from the left of its row."""

    kind: str
    colour: int
    name: str
    at: float


def width_of(text: str) -> float:
    """Roughly: fonts differ."""
    return len(text) * _LETTER


def rows(chart: Chart, width: float) -> list[list[Entry]]:
    """Its entries, in as many rows as they need."""
    found: list[list[Entry]] = []
    at = 0.0
    for kind, colour, name in _entries(chart):
        takes = _SAMPLE + width_of(name)
        if not found or at + takes > width:
            found.append([])
            at = 0.0
        found[-1].append(Entry(kind, colour, name, at))
        at += takes + _GAP
    return found


def drawn(entries: list[list[Entry]], left: float, top: float) -> list[str]:
    """The first row's text stands at ``top``."""
    parts: list[str] = []
    for number, row in enumerate(entries):
        y = top + number * ROW
        for entry in row:
            x = left + entry.at
            parts.append(_sample(entry, x, y - 4))
            parts.append(f'<text class="name" x="{x + _SAMPLE:.1f}" y="{y:.1f}">{escape(entry.name)}</text>')
    return parts


def _entries(chart: Chart) -> list[tuple[str, int, str]]:
    found = [
        ("marked" if line.marked else "track", line.colour % style.SERIES, line.name)
        for line in chart.lines
        if line.name and not line.fitted
    ]
    grey = style.SERIES - 1
    if chart.fitted and any(line.fitted for line in chart.lines):
        found.append(("fitted", grey, chart.fitted))
    points = [point for line in chart.lines for point in line.points if line.marked and not line.fitted]
    if chart.doubt and any(point.doubtful for point in points):
        found.append(("hollow", grey, chart.doubt))
    if chart.broken and any(point.broken for point in points):
        found.append(("broken", grey, chart.broken))
    if chart.moment and chart.moments:
        found.append(("moment", 0, chart.moment))
    return found


def _sample(entry: Entry, x: float, y: float) -> str:
    middle = x + 10
    if entry.kind == "hollow":
        return f'<path class="point s{entry.colour} hollow" d="M{middle - 4:.1f},{y - 4:.1f}h8v8h-8z"/>'
    if entry.kind == "broken":
        return marks.cross(middle, y)
    stroke = {"fitted": f"fitted s{entry.colour}", "moment": "moment"}.get(
        entry.kind, f"track s{entry.colour}"
    )
    line = f'<line class="{stroke}" x1="{x:.1f}" x2="{x + 20:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return line + (marks.mark(middle, y, entry.colour) if entry.kind == "marked" else "")

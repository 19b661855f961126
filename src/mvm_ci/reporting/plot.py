"""Charts as SVG: small bare ones for a column of a page, and whole ones with title, axes and legend."""

from html import escape
from typing import Final

import msgspec

from mvm_ci.reporting import legend, marks, style
from mvm_ci.reporting.chart import Chart, Knee, Line, Point
from mvm_ci.reporting.xml import allowed

_KNEE_ROW: Final = 13
_LEFT: Final = 56


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """The rectangle that the axes span, in the pixels of a picture that is so wide and high."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int


_BARE: Final = Frame(width=720, height=150, left=64, right=710, top=10, bottom=126)


def bare(chart: Chart) -> str:
    """Lines, moments and labelled axes alone; the page says what it is."""
    return _svg(chart, _BARE, _inside(chart, _BARE))


def whole(chart: Chart, *, width: int = 480, height: int = 300) -> str:
    """With title, names of the axes and legend. ``height`` grows by the rows of the legend."""
    frame, parts = _whole(chart, width, height)
    return _svg(chart, frame, parts)


def picture(chart: Chart, *, width: int = 720, height: int = 400) -> str:
    """The same as a file of its own, with its style in it."""
    frame, parts = _whole(chart, width, height)
    ground = f'<rect class="ground" width="{frame.width}" height="{frame.height}"/>'
    size = f' xmlns="http://www.w3.org/2000/svg" width="{frame.width}" height="{frame.height}"'
    drawn = [f"<style>{style.of_picture()}</style>{ground}", *parts]
    return allowed(_svg(chart, frame, drawn, size)) + "\n"


def _svg(chart: Chart, frame: Frame, parts: list[str], size: str = "") -> str:
    title = escape(chart.title)
    head = f'<svg{size} viewBox="0 0 {frame.width} {frame.height}" role="img" aria-label="{title}">'
    return "".join([head, f"<title>{title}</title>", *parts, "</svg>"])


def _whole(chart: Chart, width: int, height: int) -> tuple[Frame, list[str]]:
    entries = legend.rows(chart, width - _LEFT - 12)
    bottom = height - 60
    frame = Frame(
        width=width,
        height=height + legend.ROW * (len(entries) - 1),
        left=_LEFT,
        right=width - 24,
        top=48 + _KNEE_ROW * sum(bool(knee.name) for knee in chart.knees),
        bottom=bottom,
    )
    middle = (frame.left + frame.right) / 2
    parts = [
        f'<text class="head" x="12" y="17">{escape(chart.title)}</text>',
        f'<text x="12" y="33">{escape(chart.y_name)}</text>',
        f'<text class="along" x="{middle:.1f}" y="{bottom + 30}">{escape(chart.x_name)}</text>',
        *_inside(chart, frame),
        *legend.drawn(entries, _LEFT, height - 12),
    ]
    return frame, parts


def _inside(chart: Chart, frame: Frame) -> list[str]:
    parts = [_area(chart, frame, line) for line in chart.lines if line.area]
    for tick in chart.y.ticks:
        at = _y(chart, frame, tick.value)
        parts.append(f'<line class="grid" {_flat(frame, at)}/>')
        parts.append(f'<text class="up" x="{frame.left - 6}" y="{at + 4:.1f}">{escape(tick.label)}</text>')
    for tick in chart.x.ticks:
        at = _x(chart, frame, tick.value)
        parts.append(f'<text class="along" x="{at:.1f}" y="{frame.bottom + 18}">{escape(tick.label)}</text>')
    parts += (
        f'<line class="level" {_flat(frame, _y(chart, frame, level.value))}/>' for level in chart.levels
    )
    for moment in chart.moments:
        at = _x(chart, frame, moment.value)
        ends = f'x1="{at:.1f}" x2="{at:.1f}" y1="{frame.top}" y2="{frame.bottom}"'
        parts.append(f'<line class="moment" {ends}><title>{escape(moment.text)}</title></line>')
    knees = _placed(chart, frame)
    parts += (_knee(chart, frame, knee, height) for knee, height in knees)
    for line in chart.lines:
        parts += _line(chart, frame, line)
    for level in chart.levels:
        height = _y(chart, frame, level.value) - 4
        parts.append(f'<text class="over" x="{frame.left + 5}" y="{height:.1f}">{escape(level.name)}</text>')
    parts += (_name(chart, frame, knee, height) for knee, height in knees if knee.name)
    return parts


def _placed(chart: Chart, frame: Frame) -> list[tuple[Knee, int]]:
    """Each with the height of its name: the farther to the right, the higher, so that names, which stand left
    of their lines, cross no other line.
    """
    found: list[tuple[Knee, int]] = []
    height = frame.top - 6
    for knee in sorted(chart.knees, key=lambda knee: knee.value):
        found.append((knee, height if knee.name else frame.top + 8))
        height -= _KNEE_ROW if knee.name else 0
    return found


def _knee(chart: Chart, frame: Frame, knee: Knee, height: int) -> str:
    at = _x(chart, frame, knee.value)
    ends = f'x1="{at:.1f}" x2="{at:.1f}" y1="{height - 8}" y2="{frame.bottom}"'
    return f'<line class="knee s{knee.colour % style.SERIES}" {ends}/>'


def _name(chart: Chart, frame: Frame, knee: Knee, height: int) -> str:
    """Left of its line, if there is room."""
    at = _x(chart, frame, knee.value)
    room = at - 5 > legend.width_of(knee.name)
    kind, x = ("name up over", at - 5) if room else ("name over", at + 5)
    return f'<text class="{kind}" x="{x:.1f}" y="{height}">{escape(knee.name)}</text>'


def _flat(frame: Frame, at: float) -> str:
    return f'x1="{frame.left}" x2="{frame.right}" y1="{at:.1f}" y2="{at:.1f}"'


def _area(chart: Chart, frame: Frame, line: Line) -> str:
    first, last = (_x(chart, frame, point.x) for point in (line.points[0], line.points[-1]))
    floor = frame.bottom
    track = _track(chart, frame, line)
    return (
        f'<polygon class="area f{line.colour % style.SERIES}" '
        f'points="{first:.1f},{floor:.1f} {track} {last:.1f},{floor:.1f}"/>'
    )


def _line(chart: Chart, frame: Frame, line: Line) -> list[str]:
    colour = line.colour % style.SERIES
    kind = "fitted" if line.fitted else "track faint" if line.faint else "track"
    parts = [f'<polyline class="{kind} s{colour}" points="{_track(chart, frame, line)}"/>']
    if line.marked and not line.fitted:
        parts += (_point(chart, frame, point, colour) for point in line.points if not point.bare)
    return parts


def _point(chart: Chart, frame: Frame, point: Point, colour: int) -> str:
    x, y = _x(chart, frame, point.x), _y(chart, frame, point.y)
    parts: list[str] = []
    if point.low is not None and point.high is not None and point.low < point.high:
        low, high = _y(chart, frame, point.low), _y(chart, frame, point.high)
        bar = f"M{x:.1f},{low:.1f}V{high:.1f}M{x - 3:.1f},{low:.1f}h6M{x - 3:.1f},{high:.1f}h6"
        parts.append(f'<path class="spread s{colour}" d="{bar}"/>')
    parts.append(marks.mark(x, y, colour, hollow=point.doubtful))
    if point.broken:
        parts.append(marks.cross(x, y))
    return f"<g><title>{escape(point.text)}</title>{''.join(parts)}</g>" if point.text else "".join(parts)


def _track(chart: Chart, frame: Frame, line: Line) -> str:
    return " ".join(
        f"{_x(chart, frame, point.x):.1f},{_y(chart, frame, point.y):.1f}" for point in line.points
    )


def _x(chart: Chart, frame: Frame, value: float) -> float:
    return frame.left + chart.x.share(value) * (frame.right - frame.left)


def _y(chart: Chart, frame: Frame, value: float) -> float:
    return frame.bottom - chart.y.share(value) * (frame.bottom - frame.top)

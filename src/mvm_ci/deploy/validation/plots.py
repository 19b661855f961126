"""Small plots as SVG, to stand in a page."""

import math
from collections.abc import Sequence
from html import escape
from typing import Final

from mvm_ci.deploy.validation.report import Moment, Series

_WIDTH, _HEIGHT = 720, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 10, 10, 24
_TICKS: Final = 6


def plot(series: Series, took_s: float, moments: Sequence[Moment]) -> str:
    """``series`` over the whole time, from zero on; ``moments`` are lines across."""
    highest = _rounded(max(value for _, value in series.points))
    span = max(took_s, 1.0)

    def x(at: float) -> float:
        return _LEFT + min(1.0, at / span) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - value / highest * (_HEIGHT - _TOP - _BOTTOM)

    floor = y(0)
    track = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in series.points)
    first, last = x(series.points[0][0]), x(series.points[-1][0])
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(series.title)}">',
        f'<polygon class="area" points="{first:.1f},{floor:.1f} {track} {last:.1f},{floor:.1f}"/>',
    ]
    for value in (0.0, highest / 2, highest):
        at = y(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="up" x="{_LEFT - 6}" y="{at + 4:.1f}">{value:.4g}</text>')
    step = _step(span)
    for number in range(int(span / step) + 1):
        at = x(number * step)
        parts.append(f'<text class="along" x="{at:.1f}" y="{_HEIGHT - 6}">{_time(number * step)}</text>')
    for moment in moments:
        at = x(moment.at_s)
        parts.append(
            f'<line class="moment" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{floor:.1f}">'
            f"<title>{escape(moment.text)}</title></line>"
        )
    parts.append(f'<polyline class="track" points="{track}"/></svg>')
    return "".join(parts)


def _rounded(value: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= value)


def _step(span: float) -> float:
    steps = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)
    return next((float(step) for step in steps if span / step <= _TICKS), span / _TICKS)


def _time(seconds: float) -> str:
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02} h"
    return f"{whole // 60}:{whole % 60:02}"

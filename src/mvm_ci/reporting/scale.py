"""Scales of plots: which values an axis shows, where they lie on it, and its marks."""

import math
from collections.abc import Iterable
from typing import Final

import msgspec

_FACTORS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_STEPS_S: Final = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)
_MOST_TICKS: Final = 6
_MOST_DECADES: Final = 3
_LEAST: Final = 1e-300
"""What is smaller counts as zero."""


class Tick(msgspec.Struct, frozen=True):
    """A value with its label."""

    value: float
    label: str


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """From ``lowest`` to ``highest``, which is more."""

    lowest: float
    highest: float
    ticks: tuple[Tick, ...]
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """Where ``value`` lies: 0 at the lowest, 1 at the highest; what is beyond lies at the end."""
        low, high = min(self.highest, max(self.lowest, value)), self.highest
        if self.logarithmic:
            return math.log(low / self.lowest) / math.log(high / self.lowest)
        return (low - self.lowest) / (high - self.lowest)


def halves(values: Iterable[float]) -> Scale:
    """From zero to a round number that none of the ``values`` exceeds, with its half."""
    highest = _round_up(max(values, default=0.0))
    return Scale(lowest=0.0, highest=highest, ticks=_labelled((0.0, highest / 2, highest)))


def linear(values: Iterable[float], *, least_step: float = 0.0) -> Scale:
    """From zero in a few round steps to where none of the ``values`` is beyond."""
    most = max(values, default=0.0)
    step = max(least_step, _round_up(most / (_MOST_TICKS - 1)))
    count = max(1, math.ceil(most / step - 1e-9))
    return Scale(
        lowest=0.0, highest=count * step, ticks=_labelled(number * step for number in range(count + 1))
    )


def logarithmic(values: Iterable[float]) -> Scale:
    """Around those of the ``values`` above zero; the others lie at its lowest."""
    positive = [value for value in values if value >= _LEAST] or [1.0]
    lowest, highest = _one_two_five(min(positive), up=False), _one_two_five(max(positive), up=True)
    if highest <= lowest:
        lowest, highest = lowest / 2, highest * 2
    decades = math.log10(highest / lowest)
    first, last = math.floor(math.log10(lowest)), math.ceil(math.log10(highest))
    every = max(1, math.ceil(decades / _MOST_TICKS))
    factors = (1.0, 2.0, 5.0) if decades <= _MOST_DECADES else (1.0,)
    found = (factor * 10.0**power for power in range(first, last + 1, every) for factor in factors)
    within = (value for value in found if lowest * 0.999 <= value <= highest * 1.001)
    return Scale(lowest=lowest, highest=highest, ticks=_labelled(within), logarithmic=True)


def duration(seconds: float) -> Scale:
    """From the beginning to ``seconds`` after it."""
    span = max(seconds, 1.0)
    step = next((float(step) for step in _STEPS_S if span / step <= _MOST_TICKS), span / _MOST_TICKS)
    ticks = (Tick(number * step, _time(number * step)) for number in range(int(span / step) + 1))
    return Scale(lowest=0.0, highest=span, ticks=tuple(ticks))


def percentiles(highest: float) -> Scale:
    """Of ``1 / (1 - share)``, from the median as far as ``highest``: each further nine of a percentile is as
    wide as the one before.
    """
    top = max(10.0, highest)
    nines = range(1, math.floor(math.log10(top) + 1e-9) + 1)
    labels = (Tick(10.0**count, f"{100 - 100 / 10**count:.10g} %") for count in nines)
    return Scale(lowest=2.0, highest=top, ticks=(Tick(2.0, "50 %"), *labels), logarithmic=True)


def label(value: float) -> str:
    """Of a round number, short."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= max(factor, 1e4):
            return f"{value / factor:.4g}{letter}"
    return f"{value:.4g}"


def _labelled(values: Iterable[float]) -> tuple[Tick, ...]:
    return tuple(Tick(value, label(value)) for value in values)


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    if value < _LEAST:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in _FACTORS if factor * power >= value)


def _one_two_five(value: float, *, up: bool) -> float:
    power: float = 10.0 ** math.floor(math.log10(value))
    if up:
        return next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power >= value)
    return next(factor * power for factor in (5, 2, 1, 0.5) if factor * power <= value)


def _time(seconds: float) -> str:
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02} h"
    return f"{whole // 60}:{whole % 60:02}"

"""Scales: round marks, and every value somewhere on them."""

from __future__ import annotations

from itertools import pairwise

import pytest

from mvm_ci.reporting import scale
from mvm_ci.reporting.scale import Scale

VALUES = [[], [0.0, 0.0], [1e-6, 3e-6], [5.0], [1e9, 0.0, 3e9], [5e-324], [1e299], [99.0, 101.0, 7.0]]


def labels(one: Scale) -> list[str]:
    return [tick.label for tick in one.ticks]


@pytest.mark.parametrize("made", [scale.halves, scale.linear, scale.logarithmic])
@pytest.mark.parametrize("values", VALUES)
def test_every_value_lies_on_the_scale_and_marks_do_not_crowd(made: object, values: list[float]) -> None:
    assert callable(made)
    one: Scale = made(values)
    assert one.lowest < one.highest
    assert all(0 <= one.share(value) <= 1 for value in [*values, -1.0, 0.0, 1e299])
    assert 2 <= len(one.ticks) <= 11
    shares = [one.share(tick.value) for tick in one.ticks]
    assert shares == sorted(set(shares))
    assert max([*values, 0.0]) <= one.highest


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (scale.halves([80.0]), ["0", "50", "100"]),
        (scale.linear([87.0]), ["0", "20", "40", "60", "80", "100"]),
        (scale.linear([2300.0]), ["0", "500", "1000", "1500", "2000", "2500"]),
        (scale.linear([2.0], least_step=1.0), ["0", "1", "2"]),
        (scale.linear([61_000.0]), ["0", "20k", "40k", "60k", "80k"]),
        (scale.logarithmic([4.0, 180.0]), ["2", "5", "10", "20", "50", "100", "200"]),
        (scale.logarithmic([1.0, 40_000.0]), ["1", "10", "100", "1000", "10k"]),
        (scale.logarithmic([0.0, 10.0]), ["5", "10", "20"]),
        (scale.percentiles(3000.0), ["50 %", "90 %", "99 %", "99.9 %"]),
        (scale.duration(1800.0), ["0:00", "5:00", "10:00", "15:00", "20:00", "25:00", "30:00"]),
        (scale.duration(90_000.0), ["0:00", "6:00 h", "12:00 h", "18:00 h", "24:00 h"]),
    ],
)
def test_marks_are_round(one: Scale, expected: list[str]) -> None:
    assert labels(one) == expected


def test_a_logarithmic_scale_gives_each_decade_the_same_room() -> None:
    one = scale.logarithmic([1.0, 1000.0])
    assert [round(one.share(value), 6) for value in (1, 10, 100, 1000)] == [0, 0.333333, 0.666667, 1]
    nines = scale.percentiles(10_000.0)
    at = [nines.share(1 / (1 - share)) for share in (0.5, 0.9, 0.99, 0.999, 0.9999)]
    assert at[0] == 0
    assert [later - one for one, later in pairwise(at[1:])] == pytest.approx([at[2] - at[1]] * 3)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0, "0"), (0.125, "0.125"), (2500.0, "2500"), (12_500.0, "12.5k"), (3e6, "3M"), (2e9, "2G")],
)
def test_labels_are_short(value: float, expected: str) -> None:
    assert scale.label(value) == expected

"""Marks of points: a shape for each colour, so that no colour need be seen."""

from typing import Final

from mvm_ci.reporting import style

_SHAPES: Final = (
    "m-3.5,0a3.5,3.5 0 1,0 7,0a3.5,3.5 0 1,0 -7,0z",  # disc
    "m-3.2,-3.2h6.4v6.4h-6.4z",  # square
    "m0,-4.4l4.2,7.2h-8.4z",  # triangle
    "m0,-4.8l4.2,4.8l-4.2,4.8l-4.2,-4.8z",  # diamond
    "m0,4.4l4.2,-7.2h-8.4z",  # triangle on its tip
    "m-1.4,-4.2h2.8v2.8h2.8v2.8h-2.8v2.8h-2.8v-2.8h-2.8v-2.8h2.8z",  # plus
)


def mark(x: float, y: float, colour: int, *, hollow: bool = False) -> str:
    """In the shape of its colour."""
    number = colour % style.SERIES
    fill = "hollow" if hollow else f"f{number}"
    return f'<path class="point s{number} {fill}" d="M{x:.1f},{y:.1f}{_SHAPES[number]}"/>'


def cross(x: float, y: float) -> str:
    """Over a mark."""
    return f'<path class="cross" d="M{x:.1f},{y:.1f}m-5,-5l10,10m0,-10l-10,10"/>'

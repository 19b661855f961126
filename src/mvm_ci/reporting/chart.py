"""What a plot shows, before it is drawn."""

import msgspec

from mvm_ci.reporting.scale import Scale


class Point(msgspec.Struct, frozen=True):
    """A measured value. ``low``, ``high``: its spread; ``doubtful``: drawn hollow; ``broken``: crossed;
    ``bare``: the line goes through it, without a mark; ``text``: what is told about it when it is pointed at.
    """

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    doubtful: bool = False
    broken: bool = False
    bare: bool = False
    text: str = ""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Points that belong together. ``colour``: the same number looks the same in every plot; ``fitted``:
    calculated, not measured: drawn dashed, without marks; ``marked``: each point has a mark; ``faint``: thin;
    ``area``: filled down to the lowest; ``name``: in the legend, empty: not there.
    """

    name: str
    points: tuple[Point, ...]
    colour: int = 0
    fitted: bool = False
    marked: bool = True
    faint: bool = False
    area: bool = False


class Level(msgspec.Struct, frozen=True):
    """A value of the y-axis that matters, say an objective."""

    value: float
    name: str


class Knee(msgspec.Struct, frozen=True):
    """A value of the x-axis up to which a line is good; in that line's colour. ``name`` may be empty."""

    value: float
    name: str
    colour: int = 0


class Moment(msgspec.Struct, frozen=True):
    """Something that happened at a value of the x-axis. ``text`` is told when it is pointed at."""

    value: float
    text: str


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A plot. ``title`` is its name for those who cannot see it, too. ``y_name`` and ``x_name`` stand at the
    axes; ``fitted``, ``doubt``, ``broken`` and ``moment``: what dashed lines, hollow points, crossed points
    and moments mean, in the legend if there are any.
    """

    title: str
    x: Scale
    y: Scale
    lines: tuple[Line, ...]
    x_name: str = ""
    y_name: str = ""
    levels: tuple[Level, ...] = ()
    knees: tuple[Knee, ...] = ()
    moments: tuple[Moment, ...] = ()
    fitted: str = ""
    doubt: str = ""
    broken: str = ""
    moment: str = ""

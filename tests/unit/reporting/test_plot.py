"""Plots: valid SVG, points where they belong, what is measured apart from what is calculated."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from mvm_ci.reporting import plot, scale, style
from mvm_ci.reporting.chart import Chart, Knee, Level, Line, Moment, Point

STRANGE = "<script>alert('&')</script>"
CONTROLS = "\x00\x1b[31m\ud800\uffff"


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg.replace(' xmlns="http://www.w3.org/2000/svg"', ""))


def pairs(track: ET.Element) -> list[tuple[float, float]]:
    found = (pair.split(",") for pair in track.attrib["points"].split())
    return [(float(x), float(y)) for x, y in found]


def of_class(root: ET.Element, name: str) -> list[ET.Element]:
    return [one for one in root.iter() if name in one.attrib.get("class", "").split()]


def chart(*lines: Line, **others: object) -> Chart:
    made = {
        "title": "throughput",
        "x": scale.linear([100.0]),
        "y": scale.linear([100.0]),
        "lines": lines,
        **others,
    }
    return Chart(**made)  # type: ignore[arg-type]


def line(*points: Point, name: str = "a", colour: int = 0, fitted: bool = False) -> Line:
    return Line(name=name, points=points, colour=colour, fitted=fitted)


@pytest.mark.parametrize("took_s", [0.5, 95.0, 1800.0, 90_000.0])
@pytest.mark.parametrize("values", [[0.0, 0.0], [1e-6, 3e-6], [5.0], [1e9, 0.0, 3e9]])
def test_a_bare_plot_stays_within_its_frame(took_s: float, values: list[float]) -> None:
    points = tuple(Point(took_s * at / len(values), value) for at, value in enumerate(values))
    drawn = parsed(
        plot.bare(
            chart(
                Line(name="", points=points, marked=False, area=True),
                x=scale.duration(took_s),
                y=scale.halves(values),
                moments=(Moment(took_s * 2, "late"),),
            )
        )
    )
    (track,) = of_class(drawn, "track")
    assert all(0 <= x <= 720 and 0 <= y <= 150 for x, y in pairs(track))
    (moment,) = of_class(drawn, "moment")
    assert float(moment.attrib["x1"]) == 710
    assert 2 <= len(drawn.findall("text")) <= 12


def test_points_land_where_the_axes_say() -> None:
    drawn = parsed(plot.whole(chart(line(Point(0, 0), Point(50, 100), Point(100, 50)))))
    (track,) = of_class(drawn, "track")[:1]
    grid = sorted(float(one.attrib["y1"]) for one in of_class(drawn, "grid"))
    top, bottom = grid[0], grid[-1]
    left, right = (float(of_class(drawn, "grid")[0].attrib[name]) for name in ("x1", "x2"))
    assert pairs(track) == [(left, bottom), ((left + right) / 2, top), (right, (top + bottom) / 2)]


def test_a_spread_is_a_bar_from_the_least_to_the_most() -> None:
    spread = Point(50, 40, 20, 60)
    drawn = parsed(plot.whole(chart(line(spread, Point(60, 40, 40, 40), Point(70, 40)))))
    (bar,) = of_class(drawn, "spread")
    grid = [float(one.attrib["y1"]) for one in of_class(drawn, "grid")]
    at = dict(zip((0, 20, 40, 60, 80, 100), grid, strict=True))
    found = re.match(r"M[\d.]+,([\d.]+)V([\d.]+)M", bar.attrib["d"])
    assert found is not None
    assert [float(one) for one in found.groups()] == [at[20], at[60]]


def test_what_is_fitted_is_dashed_and_has_no_marks() -> None:
    points = (Point(0, 0), Point(100, 100))
    drawn = parsed(plot.whole(chart(line(*points, fitted=True), fitted="fitted")))
    assert of_class(drawn, "point") == []
    assert of_class(drawn, "track") == []
    assert len(of_class(drawn, "fitted")) == 2, "the line and its sample in the legend"
    assert re.search(r"\.fitted \{[^}]*stroke-dasharray", style.of_picture())


def test_the_legend_names_what_is_there_and_nothing_else() -> None:
    words = {"doubt": "not steady", "broken": "jobs failed", "fitted": "fitted", "moment": "killed"}
    plain = parsed(plot.whole(chart(line(Point(1, 1)), **words)))
    assert [one.text for one in of_class(plain, "name")] == ["a"]
    doubtful = line(Point(1, 1, doubtful=True), Point(2, 2, broken=True))
    fitted = line(Point(1, 1), fitted=True)
    all_of_them = parsed(plot.whole(chart(doubtful, fitted, moments=(Moment(1, "x"),), **words)))
    assert [one.text for one in of_class(all_of_them, "name")] == [
        "a",
        "fitted",
        "not steady",
        "jobs failed",
        "killed",
    ]


def test_a_long_legend_takes_more_rows_and_stays_inside() -> None:
    lines = [line(Point(1, 1), name=f"a rather long name {number}", colour=number) for number in range(9)]
    drawn = parsed(plot.whole(chart(*lines)))
    _, _, width, height = (float(one) for one in drawn.attrib["viewBox"].split())
    assert height > 300
    for name in of_class(drawn, "name"):
        assert float(name.attrib["x"]) + 5 * len(name.text or "") < width
        assert float(name.attrib["y"]) < height


def test_lines_differ_in_shape_as_well_as_in_colour() -> None:
    lines = [line(Point(1, 1), colour=number, name="") for number in range(style.SERIES)]
    drawn = parsed(plot.whole(chart(*lines)))
    shapes = {one.attrib["d"].split("m", 1)[1] for one in of_class(drawn, "point")}
    assert len(shapes) == style.SERIES


def test_objective_and_knee_stand_at_their_values() -> None:
    drawn = parsed(
        plot.whole(
            chart(
                line(Point(0, 0)),
                levels=(Level(100, "p99 100 ms"),),
                knees=(Knee(100, "option 1: 100"), Knee(0, "option 2: 0", 1)),
            )
        )
    )
    (level,) = of_class(drawn, "level")
    assert level.attrib["y1"] == min((one.attrib["y1"] for one in of_class(drawn, "grid")), key=float)
    left, right = (float(level.attrib[name]) for name in ("x1", "x2"))
    assert [float(one.attrib["x1"]) for one in of_class(drawn, "knee")] == [left, right]
    names = {one.text: float(one.attrib["y"]) for one in of_class(drawn, "name")}
    assert names["option 1: 100"] < names["option 2: 0"], "their names do not overlap"


@pytest.mark.parametrize("drawn", [plot.bare, plot.whole, plot.picture])
def test_strange_names_stay_text(drawn: object) -> None:
    assert callable(drawn)
    point = Point(1, 1, text=STRANGE)
    made = drawn(
        chart(
            line(point, name=STRANGE),
            title=STRANGE,
            x_name=STRANGE,
            y_name=STRANGE,
            levels=(Level(1, STRANGE),),
            knees=(Knee(1, STRANGE),),
            moments=(Moment(1, STRANGE),),
        )
    )
    root = ET.fromstring(made)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == STRANGE
    assert "<script" not in made


def test_a_picture_needs_no_page() -> None:
    made = plot.picture(chart(line(Point(1, 1))))
    root = ET.fromstring(made)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(" not in made, "not all that show SVG know variables"
    assert made.count("http") == 1, "nothing is loaded from elsewhere"


def test_a_picture_holds_nothing_that_xml_forbids() -> None:
    root = ET.fromstring(plot.picture(chart(line(Point(1, 1)), title=f"a{CONTROLS}b")))
    assert root.attrib["aria-label"] == "a\ufffd\ufffd[31m\ufffd\ufffdb"


def test_a_chart_without_points_is_a_frame() -> None:
    drawn = parsed(plot.whole(chart(line())))
    assert of_class(drawn, "point") != [], "its sample in the legend"
    assert pairs(of_class(drawn, "track")[0]) == []

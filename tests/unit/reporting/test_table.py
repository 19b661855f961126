"""Tables in their three forms, and numbers as people read them."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from mvm_ci.reporting.numbers import counted, shown, spread
from mvm_ci.reporting.table import Table, as_html, as_markdown, as_text

TABLE = Table(head=("who", "how many", "why"), rows=(("a", "1", ""), ("b & <c> | d", "20", "")), words=(0, 2))


def test_html_is_well_formed_and_has_figures_at_the_right() -> None:
    root = ET.fromstring(as_html(TABLE))
    cells = [[(cell.text or "", cell.attrib.get("class", "")) for cell in row] for row in root.iter("tr")]
    assert cells == [
        [("who", ""), ("how many", "figure"), ("why", "")],
        [("a", ""), ("1", "figure"), ("", "")],
        [("b & <c> | d", ""), ("20", "figure"), ("", "")],
    ]


def test_markdown_escapes_what_would_end_a_cell() -> None:
    assert as_markdown(TABLE).splitlines() == [
        "| who | how many | why |",
        "|---|---:|---|",
        "| a | 1 |  |",
        r"| b &amp; &lt;c> \| d | 20 |  |",
    ]


def test_text_stands_in_columns() -> None:
    assert as_text(TABLE).splitlines() == [
        "who          how many  why",
        "a                   1",
        "b & <c> | d        20",
    ]


def test_columns_that_say_nothing_are_left_out() -> None:
    first_empty = Table(head=("x", "y", "z"), rows=(("", "1", "w"), ("", "2", "")), words=(0, 2))
    assert first_empty.without_empty() == Table(head=("y", "z"), rows=(("1", "w"), ("2", "")), words=(1,))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"),
        (0.000123456, "0.000123"),
        (1.5, "1.5"),
        (99.96, "100"),
        (12_345.6, "12,300"),
        (12_345, "12,345"),
        (-7.456, "-7.46"),
        (3e12, "3,000,000,000,000"),
    ],
)
def test_three_digits_are_shown(value: float, expected: str) -> None:
    assert shown(value) == expected


def test_a_spread_is_shown_if_there_is_one() -> None:
    assert spread([3.0, 1.0, 2.0]) == "1 to 3"
    assert spread([1.0, 1.0001]) == ""
    assert spread([]) == ""


def test_one_is_no_plural() -> None:
    assert [counted(number, "worker") for number in (0, 1, 1000)] == [
        "0 workers",
        "1 worker",
        "1,000 workers",
    ]

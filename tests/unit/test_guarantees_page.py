"""Every promise of ``docs/guarantees.md`` names tests, and they exist."""

import re
from typing import Final

import pytest

from tests.unit.named_tests import ROOT, exists

PAGE: Final = ROOT / "docs" / "guarantees.md"
HEADER: Final = ["promise", "fault", "what is not promised", "test"]
SUITES: Final = {
    *("unit", "contract", "integration", "property", "golden", "faults", "hostile", "programs"),
    *("e2e", "acceptance", "deploy"),
}


def lines() -> list[list[str]]:
    """The cells of every line of every table."""
    found = (line for line in PAGE.read_text().splitlines() if line.startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found]


def rows() -> list[list[str]]:
    return [cells for cells in lines() if cells != HEADER and set("".join(cells)) != {"-"}]


def test_every_table_has_the_four_columns() -> None:
    headers = lines().count(HEADER)
    assert headers == PAGE.read_text().count("\n## ")
    assert len(rows()) > 40
    assert {len(cells) for cells in rows()} == {4}


@pytest.mark.parametrize("row", rows(), ids=lambda cells: cells[0][:60])
def test_a_promise_names_its_fault_and_tests_that_exist(row: list[str]) -> None:
    promise, fault, _, named = row
    assert promise
    assert fault
    tests = re.findall(r"`([^`]+)`", named)
    assert tests
    assert re.sub(r"`[^`]+`|\s", "", named) == "", "nothing but tests stands in the last column"
    for test in tests:
        assert re.fullmatch(r"tests/(\w+)/[\w/]+\.py::test_\w+", test), test
        assert test.split("/")[1] in SUITES
        assert exists(test), f"there is no {test}"

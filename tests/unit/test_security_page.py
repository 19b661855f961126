"""Every claim of ``docs/security.md`` names tests, and they exist."""

import re
from typing import Final

import pytest

from tests.unit.named_tests import ROOT, exists

PAGE: Final = ROOT / "docs" / "security.md"
HEADER: Final = ["actor", "can", "cannot", "test"]


def lines() -> list[list[str]]:
    """The cells of every line of every table."""
    found = (line for line in PAGE.read_text().splitlines() if line.startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found]


ROWS: Final = [cells for cells in lines() if cells != HEADER and set("".join(cells)) != {"-"}]


def test_every_section_but_the_last_has_a_table() -> None:
    text = PAGE.read_text()
    assert lines().count(HEADER) == text.count("\n## ") - 1
    assert text.rindex("\n## ") == text.index("\n## Not protected")
    assert len(ROWS) > 25


@pytest.mark.parametrize("row", ROWS, ids=lambda cells: cells[0][:60])
def test_a_claim_names_tests_that_exist(row: list[str]) -> None:
    actor, _, cannot, named = row
    assert actor
    assert cannot
    tests = re.findall(r"`([^`]+)`", named)
    assert tests
    assert re.sub(r"`[^`]+`|\s", "", named) == "", "nothing but tests stands in the last column"
    for test in tests:
        assert "::" in test
        assert exists(test), f"there is no {test}"

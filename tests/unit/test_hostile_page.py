"""``docs/hostile-guests.md`` and ``tests/hostile`` say the same: what there is, and how it ends."""

import ast
import re
from typing import Final

import pytest

from mvm_ci.domain.errors import BadModule, Unavailable
from mvm_ci.domain.outcome import FailureKind
from tests.unit.named_tests import ROOT

PAGE: Final = ROOT / "docs" / "hostile-guests.md"
HEADER: Final = re.compile(r"\| what (it does|happens|the server does) \| how it ends \| test \|")
CODES: Final = {
    *(kind.value for kind in FailureKind),
    *("completed", "stopped", "suspended", "refused", "dns", "connect", "timeout", "protocol", "too-large"),
    *("bad-call", "unknown-call", BadModule.code, Unavailable.code, "130"),
}


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    lines = [line for line in lines if not HEADER.fullmatch(line) and set(line) - set("|-")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def marked() -> dict[str, set[str]]:
    """Every test, and the codes of its mark."""
    found = {}
    for path in sorted((ROOT / "tests" / "hostile").glob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                marks = [
                    ast.literal_eval(ast.Tuple(mark.args, ast.Load()))
                    for mark in node.decorator_list
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.ends"
                ]
                found[f"{path.relative_to(ROOT)}::{node.name}"] = {code for mark in marks for code in mark}
    return found


def test_the_page_has_every_test_once_and_no_other() -> None:
    named = [re.findall(r"`([^`]+)`", row[2]) for row in rows()]
    assert {len(tests) for tests in named} == {1}
    assert sorted(tests[0] for tests in named) == sorted(marked())


def test_every_section_has_a_table() -> None:
    text = PAGE.read_text()
    assert len(HEADER.findall(text)) == text.count("\n## ") - 1


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:60])
def test_it_ends_as_its_test_says(row: list[str]) -> None:
    what, ends, test = row
    assert what
    codes = set(re.findall(r"`([^`]+)`", ends))
    assert codes == marked()[test.strip("`")]
    assert codes
    assert codes <= CODES
    assert re.sub(r"`[^`]+`|\s", "", ends) == "", "nothing but codes stands there"


def test_every_code_is_explained() -> None:
    explained = PAGE.read_text().partition("\n## ")[0]
    used = {code for codes in marked().values() for code in codes if not code.isdigit()}
    assert [code for code in sorted(used) if f"`{code}`" not in explained] == []

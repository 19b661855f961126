"""``docs/deployment/acceptance.md`` and the suite that it tells of."""

from __future__ import annotations

import inspect
from pathlib import Path

from tests.acceptance.findings import Findings
from tests.acceptance.suite import checks
from tests.acceptance.table import NOT_RUN, PAGE, PASSED, page, sentence


def rows(text: str) -> list[list[str]]:
    """The table's, without those of its head."""
    table = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1:]]


def test_it_lists_the_checks_of_the_suite() -> None:
    listed = rows(PAGE.read_text())
    assert [row[0] for row in listed] == [sentence(check) for check in checks()]
    assert {cell for row in listed for cell in row[1:]} <= {PASSED, NOT_RUN}


def test_every_check_records_what_it_found() -> None:
    silent = [name for name, check in checks().items() if "record" not in inspect.signature(check).parameters]
    assert silent == []


def test_only_what_was_found_has_passed(tmp_path: Path) -> None:
    first, second, *_ = checks()
    kept = Findings(tmp_path)
    kept.keep("option 1, processes", first, [1])
    kept.keep("option 2, processes", first, [1])
    kept.keep("option 2, processes", second, {"a": 1})
    kept.forget("option 1, processes", second)
    assert kept.others("option 2, processes", first) == {"option 1, processes": [1]}
    assert kept.others("option 1, processes", second) == {"option 2, processes": {"a": 1}}
    text = page(kept.all())
    assert rows(text)[:2] == [[sentence(first), PASSED, PASSED], [sentence(second), NOT_RUN, PASSED]]
    assert {cell for row in rows(text)[2:] for cell in row[1:]} == {NOT_RUN}
    kept.forget("option 2, processes", first)
    assert rows(page(kept.all()))[0][1:] == [PASSED, NOT_RUN]


def test_what_other_code_found_does_not_count(tmp_path: Path) -> None:
    (check, *_) = checks()
    kept = Findings(tmp_path)
    kept.keep("option 1, processes", check, [1])
    (file,) = tmp_path.iterdir()
    file.write_text(file.read_text().replace('"source": "', '"source": "other-'))
    assert kept.all() == {}

"""Print how long each test suite took against its budget, and the sum, from pytest's JUnit reports.

A suite is a folder under tests/. One over its budget is marked; a test that hangs is stopped by pytest.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

BUDGETS = {
    "unit": 120,
    "contract": 120,
    "property": 120,
    "integration": 900,
    "golden": 30,
    "faults": 600,
    "programs": 240,
    "hostile": 240,
    "e2e": 1_700,
    "acceptance": 600,
    "deploy": 2000,
}
OTHER = 60


@dataclass
class Suite:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0


def read(reports: Sequence[Path]) -> dict[str, Suite]:
    suites: dict[str, Suite] = defaultdict(Suite)
    # A test whose teardown fails has two entries: it counts once, as failed.
    cases: dict[tuple[str, str], str] = {}
    for case in (case for report in reports for case in ET.parse(report).iter("testcase")):
        # A file that cannot be collected has no class, its path is its name.
        name = case.get("name") or ""
        where = case.get("classname") or name
        parts = where.split(".")
        suite = suites[parts[1] if len(parts) > 2 and parts[0] == "tests" else "other"]
        suite.seconds += float(case.get("time", 0))
        tags = {child.tag for child in case}
        key = (where, name)
        if tags & {"failure", "error"} or cases.get(key) == "failed":
            new = "failed"
        else:
            new = "skipped" if "skipped" in tags else "passed"
        if key in cases:
            setattr(suite, cases[key], getattr(suite, cases[key]) - 1)
        setattr(suite, new, getattr(suite, new) + 1)
        cases[key] = new
    return suites


def main(reports: Sequence[Path]) -> None:
    suites = read([report for report in reports if report.exists()])
    print(f"{'suite':<12} {'passed':>7} {'failed':>7} {'skipped':>8} {'time':>8} {'budget':>8}")
    for name, suite in sorted(suites.items()):
        budget = BUDGETS.get(name, OTHER)
        late = "  over" if suite.seconds > budget else ""
        numbers = f"{suite.passed:>7} {suite.failed:>7} {suite.skipped:>8}"
        print(f"{name:<12} {numbers} {suite.seconds:>6.1f} s {budget:>6} s{late}")
    passed = sum(suite.passed for suite in suites.values())
    failed = sum(suite.failed for suite in suites.values())
    print(f"{passed} passed, {failed} failed")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])

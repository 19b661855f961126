"""Writes ``docs/deployment/acceptance.md`` from what was found: ``python -m tests.acceptance.table``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from benchmarks.report import described
from mvm_ci.testing.cluster import ROOT
from tests.acceptance.findings import DIRECTORY, Findings
from tests.acceptance.suite import checks

PAGE: Final = ROOT / "docs" / "deployment" / "acceptance.md"
PASSED: Final = "passed"
NOT_RUN: Final = "-"
_HEAD: Final = """# What runs the same everywhere

One suite (`tests/acceptance`) is run on each deployment, really started: jobs of every kind, and the loss
and the restart of each part with jobs in every phase. A check passes if the jobs end as they must, with
every effect that must not be repeated there once, and if result and journal are those that the other
deployments found. `python -m tests.acceptance.table` makes this page from the files that runs leave in
`build/acceptance`; a dash means that the check was not run there, or did not pass.
"""
_DEPLOYMENTS: Final = """
*Processes* are on one machine: `make test TESTS=tests/acceptance`. *Namespaces*: control plane and workers
have a network of their own each, and five workers reach nothing but the control plane's UDP port:
`make deploy ARGS="-k namespaces"`, as root. *Containers*: Docker and Compose, five workers, started by
`scripts/start-cluster.sh`: `make deploy ARGS="-k docker"`, as root.
"""


def sentence(check: str) -> str:
    """A test's name in words."""
    return check.removeprefix("test_").replace("_", " ").capitalize()


def page(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The page. ``found``: as ``Findings.all`` gives it."""
    names = sorted(found)
    rows = [
        [sentence(check), *(PASSED if check in found[name]["found"] else NOT_RUN for name in names)]
        for check in checks()
    ]
    table = ["| " + " | ".join(row) + " |" for row in (["Check", *map(str.capitalize, names)], *rows)]
    table.insert(1, "|---" * (len(names) + 1) + "|")
    runs: dict[str, list[str]] = {}
    for name in names:
        runs.setdefault(described(found[name]["machine"]), []).append(name.capitalize())
    ran = [f"- {where}: {'; '.join(what)}." for where, what in runs.items()]
    return "\n".join([_HEAD, *table, _DEPLOYMENTS, "Last run:", "", *ran, ""])


if __name__ == "__main__":
    PAGE.write_text(page(Findings(DIRECTORY).all()))

"""What the tests of the suite need besides a ``deployment``.

To run the suite on another deployment: a ``conftest.py`` that imports these and has a fixture ``deployment``
of scope ``module``, and a test file with ``globals().update(checks())`` (``suite``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Final

import pytest

from guest.build_c import build_c
from mvm_ci.testing.cluster import ROOT, build_module
from tests.acceptance import findings
from tests.acceptance.deployment import Deployment
from tests.faults.conftest import Web, counting_web

GUEST: Final = Path(__file__).parent / "guest" / "acceptance.py"
_PASSED: Final = pytest.StashKey[bool]()
Record = Callable[[object], None]
"""Notes what a check found, which must be the same with every deployment."""


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The modules, by name."""
    target = build_module(GUEST, tmp_path_factory.mktemp("modules"))
    examples = ROOT / "guest" / "examples"
    return {"steps": target, **{name: build_c(examples / f"{name}.c") for name in ("noop", "five_steps")}}


@pytest.fixture(scope="module")
def modules(deployment: Deployment, built: dict[str, Path]) -> dict[str, str]:
    """The digests of the modules, which are stored there."""
    return {name: deployment.commands.ok("module", "push", str(path)) for name, path in built.items()}


@pytest.fixture
def web(deployment: Deployment) -> Iterator[Web]:
    """A server that counts what guests ask of it."""
    with counting_web(deployment.host) as made:
        yield made


@pytest.fixture
def record(deployment: Deployment, request: pytest.FixtureRequest) -> Iterator[Record]:
    """What was found is kept if the test passes, and compared with what was found elsewhere before."""
    check, kept = request.node.originalname, findings.Findings(findings.DIRECTORY)
    kept.forget(deployment.name, check)
    noted: list[object] = []

    def note(found: object) -> None:
        plain = json.loads(json.dumps(found))
        others = kept.others(deployment.name, check)
        if noted:
            others[f"what it found before ({deployment.name})"] = noted[-1]
        for name, other in others.items():
            assert plain == other, f"{deployment.name} differs from {name}"
        noted.append(plain)

    yield note
    if request.node.stash[_PASSED]:
        assert noted, "it found nothing"
        kept.keep(deployment.name, check, noted[-1])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Whether a test has passed is not known to its fixtures otherwise."""
    report = yield
    if report.when == "call":
        item.stash[_PASSED] = report.passed
    return report

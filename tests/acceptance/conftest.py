"""Each option, really started; what each check found, compared across them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from guest.build_c import build_c
from mvm_ci.testing.cluster import ROOT, cluster
from tests.acceptance.deployment import Deployment, Processes
from tests.faults.conftest import Web, counting_web

GUEST: Final = Path(__file__).parent / "guest" / "acceptance.py"
FOUND: Final = ROOT / "build" / "acceptance"
_found: dict[str, dict[str, Any]] = {}
Record = Callable[[object], None]
"""Notes what a check found, which must be the same with every option."""


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The modules, by name."""
    target = tmp_path_factory.mktemp("modules") / "acceptance.wasm"
    with cluster(target.parent) as made:
        made.ok("build", str(GUEST), "-o", str(target))
    examples = ROOT / "guest" / "examples"
    return {"steps": target, **{name: build_c(examples / f"{name}.c") for name in ("noop", "five_steps")}}


@pytest.fixture(scope="module", params=[1, 2, 3, 4], ids="option-{}".format)
def deployment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """A running one, for all tests of a module."""
    made = Processes(tmp_path_factory.mktemp(f"option-{request.param}"), request.param, workers=2)
    try:
        yield made
    finally:
        made.close()


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
def record(deployment: Deployment, request: pytest.FixtureRequest) -> Record:
    check = request.node.originalname

    def note(found: object) -> None:
        plain = json.loads(json.dumps(found))
        others = _found.setdefault(check, {})
        for name, other in others.items():
            assert plain == other, f"{deployment.name} differs from {name}"
        others[deployment.name] = plain

    return note


def pytest_sessionfinish() -> None:
    """What was found, for the table in the documents."""
    if _found:
        FOUND.mkdir(parents=True, exist_ok=True)
        names = sorted({name for others in _found.values() for name in others})
        (FOUND / f"{len(names)}.json").write_text(json.dumps(_found, indent=1))

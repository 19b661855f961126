"""Option 2 in network namespaces. Tests run in the namespace of the control plane."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.fixtures import built, modules, pytest_runtest_makereport, record, web
from tests.deploy.namespaces.deployment import Namespaces
from tests.deploy.namespaces.lan import lan
from tests.deploy.network import demand_tools, inside

__all__ = ["built", "modules", "pytest_runtest_makereport", "record", "web"]  # found here by their names


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    demand_tools()


@pytest.fixture(scope="module")
def deployment(tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespaces]:
    """A running one, for all tests of a module."""
    with lan() as made, inside(made.plane):
        running = Namespaces(tmp_path_factory.mktemp("namespaces"), made)
        try:
            yield running
        finally:
            running.close()

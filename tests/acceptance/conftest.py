"""The suite on processes of this machine, without root; other deployments are under ``tests/deploy``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.deployment import Deployment, Processes
from tests.acceptance.fixtures import built, modules, pytest_runtest_makereport, record, web

__all__ = ["built", "modules", "pytest_runtest_makereport", "record", "web"]  # found here by their names


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

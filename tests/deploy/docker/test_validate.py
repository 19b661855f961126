"""``mvm-ci validate`` on five worker containers, one of which is killed."""

from __future__ import annotations

import pytest

from tests.acceptance.validating import validated
from tests.deploy.docker.conftest import WORKERS
from tests.deploy.docker.deployment import Containers
from tests.deploy.docker.fleet import Fleet

pytestmark = pytest.mark.timeout(400)


def test_all_checks_pass(deployment: Containers, fleet: Fleet) -> None:
    validated(
        deployment, workers=WORKERS, kill=f'docker --host {fleet.host} kill --signal KILL "$MVM_CI_WORKER"'
    )

"""``mvm-ci validate`` on this deployment."""

from __future__ import annotations

import pytest

from tests.acceptance.validating import validated
from tests.deploy.namespaces.deployment import Namespaces
from tests.deploy.namespaces.lan import P2P_PORT, PLANE, WORKERS

pytestmark = pytest.mark.timeout(300)


def test_all_checks_pass(deployment: Namespaces) -> None:
    pids = {one.name: one.popen.pid for one in deployment.commands.processes}
    cases = " ".join(f"{name}) kill -9 {pids[name]};;" for name in deployment.lan.workers)
    validated(deployment, workers=WORKERS, kill=f"case $MVM_CI_WORKER in {cases} *) exit 9;; esac")
    lan = deployment.lan
    assert lan.seen() == {(lan.address(name), PLANE, "udp", P2P_PORT) for name in lan.workers}

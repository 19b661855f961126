"""``mvm-ci validate`` on this deployment."""

from __future__ import annotations

import json

import pytest

from tests.deploy.namespaces.deployment import Namespaces
from tests.deploy.namespaces.lan import P2P_PORT, PLANE, WORKERS

DURATION = "2m"
pytestmark = pytest.mark.timeout(300)


def test_all_checks_pass(deployment: Namespaces) -> None:
    running = deployment.commands.start(
        "validate", "--workers", str(WORKERS), "--duration", DURATION, "--json"
    )
    assert running.wait(240) == 0, running.stderr + "".join(running.lines) + deployment.logs()
    report = json.loads("".join(running.lines))
    assert report["complete"]
    # Leaks are told of runs of ten minutes or more; nobody was asked to kill a worker.
    assert {check["name"]: check["outcome"] for check in report["checks"]} == {
        "control-plane": "passed",
        "workers": "passed",
        "execution": "passed",
        "updates": "passed",
        "fleet": "passed",
        "jobs": "passed",
        "leaks": "not judged",
    }
    lan = deployment.lan
    assert lan.seen() == {(lan.address(name), PLANE, "udp", P2P_PORT) for name in lan.workers}

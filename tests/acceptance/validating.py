"""``mvm-ci validate`` on a deployment, with the loss of a worker."""

from __future__ import annotations

import json

from tests.acceptance.deployment import Deployment

DURATION_S = 120
_REST_S = 120
"""For what comes before the load, and after it."""


def validated(deployment: Deployment, *, workers: int, kill: str) -> None:
    """Fails unless every check passes. ``kill``: kills the worker that ``$MVM_CI_WORKER`` names."""
    running = deployment.commands.start(
        *("validate", "--workers", str(workers), "--duration", f"{DURATION_S}s", "--kill", kill, "--json")
    )
    code = running.wait(DURATION_S + _REST_S)
    assert code == 0, running.stderr + "".join(running.lines) + deployment.logs()
    report = json.loads("".join(running.lines))
    assert report["complete"]
    assert {check["name"]: check["outcome"] for check in report["checks"]} == {
        "control-plane": "passed",
        "workers": "passed",
        "execution": "passed",
        "updates": "passed",
        "worker-loss": "passed",
        "fleet": "passed",
        "jobs": "passed",
        "leaks": "not judged",  # they are told of runs of ten minutes or more
    }

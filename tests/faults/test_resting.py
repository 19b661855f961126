"""Workers that hold nothing and rest: dead ones, and a control plane that dies meanwhile."""

from __future__ import annotations

import signal

import pytest

from tests.faults.conftest import Rig

pytestmark = pytest.mark.parametrize("rig", ["10s"], indirect=True)
REST_S = 80
"""Of a lease of 10 s; nothing here may take so long."""


def rested(rig: Rig, name: str) -> bool:
    """Whether the worker's session may be silent for longer than a lease."""
    workers = rig.ask("GET", "/v1/workers")["workers"]
    return any(one["name"] == name and one.get("lease_left_ms", 0) > 20_000 for one in workers)


def test_a_job_given_to_a_worker_that_died_while_it_rested_goes_on_elsewhere_long_before_its_rest_is_over(
    rig: Rig,
) -> None:
    first = rig.worker("first")
    rig.cluster.until(lambda: rested(rig, "first"), "it rests")
    first.end(signal.SIGKILL)
    (job,) = rig.submit([("bytes", 1)])
    assert rig.job(job)["state"] == "claimed"
    rig.worker("second")
    rig.cluster.until(lambda: rig.job(job)["state"] == "completed", "it ended", REST_S / 2)
    assert rig.job(job)["epoch"] == 2


def test_a_resting_worker_finds_a_control_plane_that_was_killed_and_is_back(
    rig: Rig,
) -> None:
    worker = rig.worker("first")
    rig.cluster.until(lambda: rested(rig, "first"), "it rests")
    assert rig.plane is not None
    rig.plane.end(signal.SIGKILL)
    rig.start_again()
    (job,) = rig.submit([("bytes", 1)])
    rig.cluster.until(lambda: rig.job(job)["state"] == "completed", "it ended", REST_S / 2)
    assert rig.job(job)["epoch"] == 1
    said = [line for line in worker.stderr.splitlines() if "session_open" in line]
    assert len(said) == 2

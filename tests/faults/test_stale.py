"""Whoever is late, disobeys or waits: what they write for a placement that is over changes nothing."""

from __future__ import annotations

import signal
import time

import pytest

from tests.faults.conftest import Rig, Web


@pytest.mark.parametrize("rig", ["6s"], indirect=True)
def test_a_worker_that_wakes_and_ignores_that_its_job_went_elsewhere_is_refused_and_counted(
    rig: Rig, web: Web
) -> None:
    hooks, environ = rig.hooked()
    first = rig.worker("first", "--slots", "2", environ=environ)
    telling, ending = rig.submit(
        [("get", f"{web.url}/gate/a"), ("post", f"{web.url}/once"), ("bytes", 1)],
        [("get", f"{web.url}/gate/b"), ("bytes", 2)],
    )
    for _ in range(2):
        web.at_the_gate()
    (hooks / "defiant").touch()  # it will not let go of what it is told to drop
    first.popen.send_signal(signal.SIGSTOP)
    try:
        rig.worker("second", "--slots", "2")
        for _ in range(2):
            web.at_the_gate()
        web.gate.set()
        assert [rig.ended(job)["epoch"] for job in (telling, ending)] == [2, 2]
        assert rig.ask("GET", "/v1/status")["stale_refused"] == 0
        journals = [rig.journal(job) for job in (telling, ending)]
    finally:
        first.popen.send_signal(signal.SIGCONT)
    # One intent that may not be written, so the request does not leave; one end that comes too late.
    rig.cluster.until(lambda: rig.ask("GET", "/v1/status")["stale_refused"] >= 2, "both are refused")
    assert [rig.journal(job) for job in (telling, ending)] == journals
    assert [rig.job(job)["result"] for job in (telling, ending)] == [[2, 2, "r"], [2, "rr"]]
    assert web.posts == {"/once": 1}


@pytest.mark.parametrize("rig", ["6s"], indirect=True)
def test_guests_parked_while_the_control_plane_is_away_longer_than_the_lease_go_on_when_it_is_back(
    rig: Rig, web: Web
) -> None:
    worker = rig.worker("first", "--slots", "2")
    waiting, computing = rig.submit(
        [("get", f"{web.url}/gate"), ("post", f"{web.url}/once")],
        [("post", f"{web.url}/begun"), ("count", 3_000_000), ("post", f"{web.url}/over")],
    )
    web.at_the_gate()
    rig.cluster.until(lambda: ("HttpDone", 1) in rig.journal(computing), "it computes")
    assert rig.plane is not None
    rig.plane.end(signal.SIGKILL)
    over = time.clock_gettime(time.CLOCK_BOOTTIME) + 6
    web.gate.set()
    rig.cluster.until(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) > over, "the lease is over")
    assert web.posts == {"/begun": 1}
    rig.start_again()
    assert [rig.ended(job)["epoch"] for job in (waiting, computing)] == [1, 1]
    assert web.posts == {"/begun": 1, "/once": 1, "/over": 1}
    assert worker.popen.poll() is None

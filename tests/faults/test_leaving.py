"""Real workers that leave: SIGTERM once, and twice."""

from __future__ import annotations

import signal

import pytest

from tests.faults.conftest import Rig, Web


def test_what_ends_within_the_grace_ends_where_it_runs(rig: Rig, web: Web) -> None:
    first = rig.worker("first", "--grace", "60s")
    (job,) = rig.submit([("post", f"{web.url}/once"), ("get", f"{web.url}/gate")])
    web.at_the_gate()
    first.popen.send_signal(signal.SIGTERM)
    rig.cluster.until(lambda: "worker_draining" in first.stderr, "it drains")
    (waiting,) = rig.submit([("bytes", 1)])
    web.gate.set()
    assert first.wait() == 0, first.stderr
    assert (rig.ended(job)["state"], rig.job(job)["epoch"]) == ("completed", 1)
    assert rig.job(waiting)["state"] == "pending"


def test_what_runs_longer_than_the_grace_goes_on_elsewhere(rig: Rig, web: Web) -> None:
    first = rig.worker("first", "--grace", "100ms")
    (job,) = rig.submit([("post", f"{web.url}/once"), ("get", f"{web.url}/gate")])
    web.at_the_gate()
    first.popen.send_signal(signal.SIGTERM)
    assert first.wait() == 0, first.stderr
    rig.worker("second")
    web.at_the_gate()
    web.gate.set()
    ended = rig.ended(job)
    assert (ended["state"], ended["epoch"], ended.get("losses", 0), ended.get("attempt", 1)) == (
        "completed",
        2,
        0,
        1,
    )
    assert web.posts == {"/once": 1}


@pytest.mark.parametrize("rig", ["2s"], indirect=True)
def test_a_second_signal_is_quick_and_nothing_is_lost(rig: Rig, web: Web) -> None:
    first = rig.worker("first", "--grace", "600s")
    (job,) = rig.submit([("post", f"{web.url}/once"), ("get", f"{web.url}/gate")])
    web.at_the_gate()
    first.popen.send_signal(signal.SIGTERM)
    rig.cluster.until(lambda: "worker_draining" in first.stderr, "it drains")
    first.popen.send_signal(signal.SIGTERM)
    assert first.wait() == 0, first.stderr
    rig.worker("second")
    web.at_the_gate()
    web.gate.set()
    assert rig.ended(job)["state"] == "completed"
    assert web.posts == {"/once": 1}

"""Real workers whose engine is elsewhere: each part is killed while a request of a guest is under way."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mvm_ci.testing.cluster import Process, cluster
from tests.faults.conftest import NETWORK, Rig, Web

OPTIONS = {"in the control plane, over P2P": 2, "in a process of its own": 3, "in the control plane": 4}


class Elsewhere(Rig):
    """A control plane, an engine elsewhere, and workers that follow it."""

    engine: Process

    def begin(self, option: int, steps: Path) -> None:
        self.cluster.lease = "3s"
        self.cluster.option = option
        self.plane_again()
        if option == 3:
            self.engine = self.cluster.engine(*NETWORK)
        self.module = self.cluster.ok("module", "push", str(steps))

    def plane_again(self) -> None:
        listens = ("--bind", self.address) if self.address else ()
        network = NETWORK if self.cluster.option in {2, 4} else ()
        self.plane = self.cluster.control_plane(*listens, *network)
        known = self.cluster.credentials.read_text()
        self.address = known.partition("http://")[2].partition('"')[0]

    def follower(self, name: str = "first") -> Process:
        process = self.cluster.worker(name)
        self.cluster.until(lambda: "engine_reached" in process.stderr, f"{name} reached its engine")
        return process

    def done(self, job: str, web: Web, *, epoch: int) -> None:
        ended = self.ended(job)
        assert (ended["state"], ended["epoch"]) == ("completed", epoch), self.cluster.logs()
        # The request that was under way is repeated, with its key; the one before it is not.
        assert web.posts == {"/once": 1}
        assert len([key for path, key in web.repeatable if path == "/gate"]) == 1


@pytest.fixture
def elsewhere(tmp_path: Path, steps: Path, request: pytest.FixtureRequest) -> Iterator[Elsewhere]:
    with cluster(tmp_path) as made:
        rig = Elsewhere(made)
        rig.begin(getattr(request, "param", 3), steps)
        yield rig


def at_the_gate(rig: Elsewhere, web: Web) -> str:
    """A job that has made a request, and is at the next one."""
    (job,) = rig.submit([("post", f"{web.url}/once"), ("get", f"{web.url}/gate")])
    web.at_the_gate()
    return job


@pytest.mark.parametrize("elsewhere", OPTIONS.values(), ids=OPTIONS.keys(), indirect=True)
def test_a_worker_that_is_killed_and_started_again_goes_on(elsewhere: Elsewhere, web: Web) -> None:
    first = elsewhere.follower()
    job = at_the_gate(elsewhere, web)
    first.end(signal.SIGKILL)
    elsewhere.follower()
    web.at_the_gate()
    web.gate.set()
    elsewhere.done(job, web, epoch=2)


def test_an_engine_that_is_killed_and_started_again_costs_a_placement(elsewhere: Elsewhere, web: Web) -> None:
    first = elsewhere.follower()
    job = at_the_gate(elsewhere, web)
    elsewhere.engine.end(signal.SIGKILL)
    elsewhere.cluster.engine(*NETWORK)
    web.at_the_gate()
    web.gate.set()
    elsewhere.done(job, web, epoch=2)
    assert elsewhere.job(job).get("losses", 0) == 0
    assert first.popen.poll() is None


def test_a_control_plane_that_is_killed_and_started_again_costs_nothing(
    elsewhere: Elsewhere, web: Web
) -> None:
    elsewhere.follower()
    job = at_the_gate(elsewhere, web)
    assert elsewhere.plane is not None
    elsewhere.plane.end(signal.SIGKILL)
    elsewhere.plane_again()
    web.gate.set()
    elsewhere.done(job, web, epoch=1)


def test_a_worker_that_stands_still_keeps_its_guests_from_having_effects(
    elsewhere: Elsewhere, web: Web
) -> None:
    first = elsewhere.follower()
    job = at_the_gate(elsewhere, web)
    # Longer than the lease, and shorter than what a worker is given time for.
    (late,) = elsewhere.submit([("sleep", 4), ("get", f"{web.url}/late")])
    elsewhere.cluster.until(lambda: elsewhere.job(late)["state"] == "in_progress", "the other one runs")
    first.popen.send_signal(signal.SIGSTOP)
    elsewhere.cluster.until(lambda: elsewhere.job(job)["state"] == "pending", "its lease is over")
    second = elsewhere.follower("second")
    web.gate.set()
    elsewhere.cluster.until(lambda: elsewhere.job(late)["state"] == "completed", "it went on at the second")
    first.popen.send_signal(signal.SIGCONT)
    elsewhere.cluster.until(lambda: elsewhere.job(job)["state"] == "completed", "both ended")
    assert web.posts == {"/once": 1}
    assert sum(count for (path, _), count in web.repeatable.items() if path == "/late") == 1
    assert second.popen.poll() is None


@pytest.mark.parametrize("elsewhere", OPTIONS.values(), ids=OPTIONS.keys(), indirect=True)
def test_a_worker_that_is_told_to_leave_hands_over(elsewhere: Elsewhere, web: Web) -> None:
    first = elsewhere.follower()
    job = at_the_gate(elsewhere, web)
    first.popen.send_signal(signal.SIGTERM)
    assert first.wait() == 0, first.stderr
    assert "worker_left_without_goodbye" not in first.stderr
    elsewhere.follower("second")
    web.at_the_gate()
    web.gate.set()
    elsewhere.done(job, web, epoch=2)


def test_an_engine_that_is_told_to_leave_hands_over(elsewhere: Elsewhere, web: Web) -> None:
    elsewhere.follower()
    job = at_the_gate(elsewhere, web)
    elsewhere.engine.popen.send_signal(signal.SIGTERM)
    assert elsewhere.engine.wait() == 0, elsewhere.engine.stderr
    elsewhere.cluster.engine(*NETWORK)
    web.at_the_gate()
    web.gate.set()
    # Each credit its worker had open (a slot and two to wait) may bring it back once, for an epoch more.
    epoch = elsewhere.ended(job)["epoch"]
    assert 2 <= epoch <= 2 + 3, elsewhere.cluster.logs()
    elsewhere.done(job, web, epoch=epoch)
    assert elsewhere.job(job).get("losses", 0) == 0

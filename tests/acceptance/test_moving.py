"""From the control plane's engine to engines in the workers while jobs run, as the page says; and back."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from mvm_ci.client.waiting import ENDED
from mvm_ci.testing.cluster import ROOT, Cluster, Process, cluster
from tests.acceptance.test_losses import LONG, around, check
from tests.faults.conftest import NETWORK, Web, counting_web

pytestmark = pytest.mark.timeout(300)

PAGE: Final = ROOT / "docs" / "deployment" / "moving.md"
MARK: Final = re.compile(
    r"^<!-- (?P<kind>run|start|stop)(?:: (?P<names>[^>]+))? -->\n(?:```sh\n(?P<code>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
FOLLOWERS: Final = ("follower-1", "follower-2")
OWN: Final = ("own-1", "own-2")
ENDS_THERE, CUT_OFF = "a request ends where it is", "the deadline comes first"


class Move(NamedTuple):
    """A cluster that is to be moved, and jobs that run there."""

    cluster: Cluster
    web: Web
    module: str
    settings: dict[str, str]
    """What its processes are told by the environment, which the page leaves out."""

    def ask(self, *args: str) -> Any:
        return self.cluster.json(*args)

    def job(self, job: str) -> Any:
        return self.ask("job", "show", job)

    def submit(self, steps: list[Any]) -> str:
        given = ("--input", json.dumps(steps), "--allow-host", "127.0.0.1:*")
        return self.cluster.ok("job", "submit", self.module, *given)

    def process(self, name: str) -> Process:
        """The newest of this name."""
        return next(one for one in reversed(self.cluster.processes) if one.name == name)

    def start(self, name: str, command: str) -> None:
        """What the page shows."""
        program, *args = shlex.split(command)
        assert program == "mvm-ci"
        process = self.cluster.start(*args, environ=self.settings, name=name)
        if args[0] == "worker":
            self.cluster.connected(name, process)
        else:
            process.line("ticket: ")

    def stop(self, name: str) -> None:
        process = self.process(name)
        assert process.end() == 0, process.stderr

    def run(self, code: str) -> None:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", code],
            cwd=self.cluster.directory,
            env=self.cluster.environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, f"{code}{done.stdout}{done.stderr}{self.cluster.logs()}"

    def running(self) -> list[str]:
        """Jobs in every phase, submitted and under way. Two requests wait at the gate."""
        inner: list[list[Any]] = [
            [["post", f"{self.web.url}/gate/post"]],
            [["get", f"{self.web.url}/gate/get"]],
            [["sleep", 4]],
            [["sleep", 12]],
            [["compute", 10 * LONG]],
            [["children", [[["sleep", 6]], [["compute", 9]]]]],
        ]
        jobs = [self.submit(around(self.web, number, steps)) for number, steps in enumerate(inner)]
        self.cluster.until(lambda: len(self.web.posts) >= len(jobs), "all have begun")
        for _ in range(2):
            self.web.at_the_gate()
        self.cluster.until(lambda: self.job(jobs[3])["state"] == "suspended", "the long sleep is suspended")
        return jobs

    def ended(self, jobs: list[str]) -> list[Any]:
        """The results: all completed, in their first attempt, each effect once."""
        for job in jobs:
            self.cluster.until(lambda job=job: self.job(job)["state"] in ENDED, f"{job} ended")  # type: ignore[misc]
        shown = [self.job(job) for job in jobs]
        assert {(one["state"], one.get("attempt", 1)) for one in shown} == {("completed", 1)}, shown
        results = [json.loads(self.cluster.ok("job", "result", job)) for job in jobs]
        check(self.web, results)
        return results


@pytest.fixture
def move(tmp_path: Path, built: dict[str, Path]) -> Iterator[Move]:
    """Option 4, as the page begins."""
    with cluster(tmp_path) as made, counting_web("127.0.0.1") as web:
        made.option = 4
        made.control_plane(*NETWORK)
        made.workers(FOLLOWERS)
        known = json.loads(made.credentials.read_text())
        settings = {
            "MVM_CI_BIND": known["url"].removeprefix("http://"),
            "MVM_CI_P2P_BIND": "127.0.0.1:0",
            "MVM_CI_WORKER_P2P_BIND": "127.0.0.1:0",
            "MVM_CI_LEASE": made.lease,
            "MVM_CI_GRACE": "2s",
            "MVM_CI_SLOTS": "2",
            "MVM_CI_ALLOW_HOST": "127.0.0.1:*",
            "MVM_CI_ALLOW_NETWORK": "127.0.0.0/8",
        }
        yield Move(made, web, made.ok("module", "push", str(built["steps"])), settings)


def names(move: Move) -> set[str]:
    return {one["name"] for one in move.ask("worker", "list")["workers"] if one["connected"]}


def follow_page(move: Move, *, deadline: str, gate_opens: bool) -> None:
    """Each marked block, in order; it validates as shortly as one may."""
    drained = False
    for block in MARK.finditer(PAGE.read_text()):
        code = block["code"] or ""
        code = code.replace("--deadline 5m", deadline).replace("--duration 1m", "--duration 10s")
        if block["kind"] == "start":
            move.start(block["names"], code)
        elif block["kind"] == "stop":
            for name in block["names"].split():
                move.stop(name)
        else:
            move.run(code)
            if "worker drain" in code and not drained:
                drained = True
                if gate_opens:
                    move.web.gate.set()


@pytest.mark.parametrize("way", [ENDS_THERE, CUT_OFF])
def test_the_page_moves_a_cluster_in_which_jobs_run(move: Move, way: str) -> None:
    jobs = move.running()
    in_time = way == ENDS_THERE
    follow_page(move, deadline="" if in_time else "--deadline 1s", gate_opens=in_time)
    assert names(move) == set(OWN)
    move.web.gate.set()
    results = move.ended(jobs)
    assert results[0][1] == (200 if in_time else "interrupted")
    assert move.web.repeatable.total() == (1 if in_time else 2)
    move.cluster.check("control-plane", *FOLLOWERS)


def test_another_order_costs_time_and_nothing_else(move: Move) -> None:
    jobs = move.running()
    move.stop("control-plane")
    starts = {one["names"]: one["code"] for one in MARK.finditer(PAGE.read_text()) if one["kind"] == "start"}
    move.start("control-plane", starts["control-plane"])
    for name in FOLLOWERS:
        process = move.process(name)
        move.cluster.until(lambda process=process: "engine_not_reached" in process.stderr, f"{name} says so")  # type: ignore[misc]
    (move.cluster.directory / "join-token").write_text(move.cluster.ok("join-token", "create", "--uses", "2"))
    for name in OWN:
        move.start(name, starts[name])
    for name in FOLLOWERS:
        move.stop(name)
    move.web.gate.set()
    assert move.ended(jobs)[0][1] == "interrupted"


def test_the_way_back(move: Move) -> None:
    """Begins where the page ends."""
    follow_page(move, deadline="", gate_opens=True)
    move.web.gate.clear()
    jobs = move.running()
    move.stop("control-plane")
    move.cluster.control_plane("--bind", move.settings["MVM_CI_BIND"], *NETWORK)
    move.cluster.workers(FOLLOWERS)
    for name in OWN:
        move.cluster.ok("worker", "drain", name, "--deadline", "1s")
    for name in OWN:
        move.run(f"until mvm-ci worker show {name} | grep '^jobs  *0 '; do sleep 1; done")
        move.stop(name)
    move.web.gate.set()
    assert move.ended(jobs)[0][1] == "interrupted"

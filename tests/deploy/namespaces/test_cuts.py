"""A worker's network is cut for longer than its lease, while its jobs run at the engine, elsewhere."""

from __future__ import annotations

import http.server
import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from mvm_ci.testing.loopback import serving
from tests.deploy.namespaces.deployment import Namespaces

pytestmark = pytest.mark.timeout(300)
TICKS = 60
GAP_S = 0.2
CUTS = {
    "both-ways": {"to_plane": True, "from_plane": True},
    "to-the-control-plane": {"to_plane": True, "from_plane": False},
    "from-the-control-plane": {"to_plane": False, "from_plane": True},
}


@dataclass
class Clock:
    """A web server that notes when each path was asked for, in ms since 1970, and answers at once."""

    url: str = ""
    asked: dict[str, list[int]] = field(default_factory=dict)


@pytest.fixture
def clock(deployment: Namespaces) -> Iterator[Clock]:
    made = Clock()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.asked.setdefault(self.path, []).append(time.time_ns() // 1_000_000)
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer((deployment.host, 0), Handler)
    with serving(server) as address:
        made.url = f"http://{address}"
        yield made


@pytest.mark.parametrize("cut", CUTS)
def test_jobs_of_a_worker_that_is_cut_off_go_on_through_another_and_it_is_used_again(
    deployment: Namespaces, modules: dict[str, str], clock: Clock, cut: str
) -> None:
    workers = len(deployment.lan.workers)
    processes = [one.popen.pid for one in deployment.commands.processes]
    inputs = [ticking(f"{clock.url}/{number}") for number in range(workers)]
    jobs = deployment.submit(modules["steps"], *inputs)
    deployment.until(lambda: len(clock.asked) >= 3 * workers, "all tick")
    holders = {job: deployment.job(job)["worker"] for job in jobs}
    lost = holders[jobs[0]]
    deployment.lan.cut(lost, **CUTS[cut])
    try:
        moved = [job for job, worker in holders.items() if worker == lost]
        deployment.until(lambda: all(deployment.job(job)["epoch"] == 2 for job in moved), "its jobs go on")
        deployment.until(
            lambda: all(deployment.job(job).get("worker") not in {None, lost} for job in moved), "elsewhere"
        )
        assert {one["name"] for one in deployment.workers()} == set(deployment.lan.workers) - {lost}
        results = [deployment.result(job) for job in jobs]
    finally:
        deployment.lan.mend()
    for number, (job, result) in enumerate(zip(jobs, results, strict=True)):
        ended = deployment.job(job)
        expected = (2, 1) if job in moved else (1, 0)
        assert (ended["epoch"], ended.get("losses", 0), ended.get("attempt", 1)) == (*expected, 1)
        asked = [clock.asked.get(f"/{number}/{tick}", []) for tick in range(TICKS)]
        once_each(result[::2], asked, losses=expected[1])
        if job in moved:
            stopped_in_time(deployment, job, asked)
    deployment.until(lambda: len(deployment.workers()) == workers, "it is back")
    used_again(deployment, modules["steps"], lost)
    assert [one.popen.pid for one in deployment.commands.processes] == processes
    deployment.commands.check()


def ticking(url: str) -> list[list[Any]]:
    """Requests one after the other."""
    return [step for tick in range(TICKS) for step in (["post", f"{url}/{tick}"], ["sleep", GAP_S])]


def once_each(statuses: list[object], asked: list[list[int]], losses: int) -> None:
    """No request was repeated. The one that the loss met may be told as interrupted, sent or not."""
    assert statuses.count("interrupted") <= losses
    for status, times in zip(statuses, asked, strict=True):
        assert (status, len(times)) == (200, 1) or (status == "interrupted" and len(times) <= 1)


def stopped_in_time(deployment: Namespaces, job: str, asked: list[list[int]]) -> None:
    """What the first placement asked came before the control plane took its job back."""
    (over,) = requeued(deployment, job)
    entries = deployment.ask("GET", f"/v1/jobs/{job}/journal")
    intents = [entry["epoch"] for entry in entries if entry["kind"] == "HttpIntent"]
    assert len(intents) == len(asked)
    before = [at for epoch, times in zip(intents, asked, strict=True) for at in times if epoch == 1]
    after = [at for epoch, times in zip(intents, asked, strict=True) for at in times if epoch == 2]
    assert before
    assert after
    assert max(before) <= over


def requeued(deployment: Namespaces, job: str) -> list[int]:
    """When it lost its worker, in ms since 1970."""
    request = deployment.commands.request("GET", f"/v1/events?after=0&follow=0&kind=requeued&job={job}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    return [event["at_ms"] for event in events if event["kind"] == "requeued"]


def used_again(deployment: Namespaces, module: str, worker: str) -> None:
    """It gets a job when no other worker may."""
    others = [one["id"] for one in deployment.workers() if one["name"] != worker]
    for other in others:
        deployment.ask("POST", f"/v1/workers/{other}/drain", {})
    try:
        [job] = deployment.submit(module, [["compute", 5]])
        assert deployment.result(job) == [10]
    finally:
        for other in others:
            deployment.ask("POST", f"/v1/workers/{other}/resume", {})

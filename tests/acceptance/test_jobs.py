"""Jobs of every kind, with the engine at each place: what they do, and what is recorded, is the same."""

from __future__ import annotations

import threading
import urllib.request
from typing import Any

import pytest

from tests.acceptance.deployment import Deployment
from tests.acceptance.fixtures import Record
from tests.faults.conftest import Web

pytestmark = pytest.mark.timeout(240)
Modules = dict[str, str]


def test_a_result(deployment: Deployment, modules: Modules, record: Record) -> None:
    [job] = deployment.submit(modules["steps"], [["here", "x"], ["compute", 1000]])
    record([deployment.result(job), deployment.journal(job)])


def test_core_modules(deployment: Deployment, modules: Modules, record: Record) -> None:
    [noop] = deployment.submit(modules["noop"], "x" * 198)
    [five] = deployment.submit(modules["five_steps"], 1)
    states = [deployment.ended(job)["state"] for job in (noop, five)]
    record([states, deployment.journal(noop), deployment.journal(five)])


def test_many_at_once(deployment: Deployment, modules: Modules, record: Record) -> None:
    jobs = deployment.submit(modules["noop"], *["x"] * 500)
    record([len(set(jobs)), sorted({deployment.ended(job)["state"] for job in jobs})])


def test_what_it_recorded_replays(deployment: Deployment, modules: Modules, record: Record) -> None:
    [job] = deployment.submit(modules["steps"], [["chance", None], ["sleep", 0.1], ["chance", None]])
    first, _, second = deployment.result(job)
    assert first != second
    said = deployment.commands.ok("replay", job)
    record([deployment.journal(job), said.replace(job, "JOB")])


def test_output_and_progress(deployment: Deployment, modules: Modules, record: Record) -> None:
    [job] = deployment.submit(
        modules["steps"], [["print", "one"], ["progress", "half"], ["sleep", 1], ["print", "two"]]
    )
    deployment.result(job)
    deployment.until(lambda: "progress" in deployment.job(job), "its progress is shown")
    record([deployment.commands.ok("job", "logs", job), deployment.job(job)["progress"]])


def test_failures_and_retries(deployment: Deployment, modules: Modules, record: Record) -> None:
    [bad] = deployment.submit(modules["steps"], [["fail", "broken"]])
    [again] = deployment.submit(modules["steps"], [["first", "once"]], max_attempts=2)
    failed, tried = deployment.ended(bad), deployment.ended(again)
    failure = failed["failure"]
    assert "ValueError: broken" in failure["detail"]
    record([failed["state"], failure["kind"], failure["message"], tried["state"], tried["attempt"]])


def test_sleeps_in_place_and_suspended(deployment: Deployment, modules: Modules, record: Record) -> None:
    short, long = deployment.submit(modules["steps"], [["sleep", 1]], [["sleep", 6]])
    deployment.until(lambda: deployment.job(long)["state"] == "suspended", "the long sleep suspends its job")
    results = [deployment.result(short), deployment.result(long)]
    record([results, [deployment.job(job)["epoch"] for job in (short, long)], deployment.journal(long)])


def test_requests(deployment: Deployment, modules: Modules, record: Record, web: Web) -> None:
    web.gate.set()
    get, post = ["get", f"{web.url}/a"], ["post", f"{web.url}/b"]
    [job] = deployment.submit(modules["steps"], [get, post, get])
    [kept_in] = deployment.submit(modules["steps"], [get], allow_hosts=[])
    result = deployment.result(job)
    refused = deployment.ended(kept_in)
    assert web.posts == {"/b": 1}
    assert len(web.repeatable) == 2
    record([result, deployment.journal(job), refused["state"], web.posts["/b"]])


def test_children(deployment: Deployment, modules: Modules, record: Record) -> None:
    children: Any = [[["compute", number], ["sleep", 0.2]] for number in range(8)]
    [job] = deployment.submit(modules["steps"], [["children", children]])
    record(deployment.result(job))


def test_messages(deployment: Deployment, modules: Modules, record: Record) -> None:
    [job] = deployment.submit(modules["steps"], [["receive", "go"], ["receive", "go"]])
    for body in ("one", "two"):
        deployment.commands.ok("job", "message", job, "--type", "go", "--body", f'"{body}"')
    record([deployment.result(job), deployment.journal(job)])


def test_a_promise(deployment: Deployment, modules: Modules, record: Record, web: Web) -> None:
    web.gate.set()
    [job] = deployment.submit(modules["steps"], [["promise", f"{web.url}/asked"]])
    deployment.until(lambda: web.posts["/asked"], "it asked the outside")
    url, token = web.bodies["/asked"].decode().split()
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    request = urllib.request.Request(url, b'{"value": 42}', headers, method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        status = answer.status
    record([status, deployment.result(job), web.posts["/asked"]])


def test_artifacts(deployment: Deployment, modules: Modules, record: Record) -> None:
    [job] = deployment.submit(modules["steps"], [["put", ["dir/a.txt", "ab"]], ["read", "dir/a.txt"]])
    digest, _ = deployment.result(job)
    [reader] = deployment.submit(modules["steps"], [["read", "in.txt"]], inputs={"in.txt": digest})
    listed = deployment.ask("GET", f"/v1/jobs/{job}/artifacts")["artifacts"]
    sizes = [(one["name"], one["size"]) for one in listed]
    record([deployment.result(job), deployment.result(reader), sizes])


def test_a_secret(deployment: Deployment, modules: Modules, record: Record) -> None:
    deployment.commands.ok("secret", "set", "KEY", "--module", "*", stdin="hunter2")
    [job] = deployment.submit(modules["steps"], [["secret", "KEY"]], secrets=["KEY"])
    result = deployment.result(job)
    assert "hunter2" not in deployment.logs()
    record([result, deployment.journal(job)])


def test_cancelling(deployment: Deployment, modules: Modules, record: Record, web: Web) -> None:
    web.gate.set()
    sleeping = [["here", web.url], ["post", f"{web.url}/began"], ["sleep", 600]]
    [told] = deployment.submit(modules["steps"], sleeping, cancel_grace_s=30)
    # Then it is at no worker, and a worker gets it once more for its guest to clean up.
    deployment.until(lambda: deployment.job(told)["state"] == "suspended", "it sleeps")
    deployment.ask("POST", f"/v1/jobs/{told}/cancel", {})
    states = [deployment.ended(told)["state"]]
    assert web.posts["/cleaned-up"] == 1
    [spinning] = deployment.submit(modules["steps"], [["here", web.url], ["spin", None]], cancel_grace_s=3)
    deployment.until(lambda: deployment.job(spinning)["state"] == "in_progress", "it spins")
    deployment.ask("POST", f"/v1/jobs/{spinning}/cancel", {})
    states.append(deployment.ended(spinning)["state"])
    record([states, web.posts["/cleaned-up"]])


def test_time_limits(deployment: Deployment, modules: Modules, record: Record) -> None:
    [job] = deployment.submit(modules["steps"], [["spin", None]], timeout_s=0.7)
    ended = deployment.ended(job)
    record([ended["state"], ended["failure"]["kind"]])


def test_pause_and_resume(deployment: Deployment, modules: Modules, record: Record) -> None:
    [job] = deployment.submit(modules["steps"], [["compute", 5], ["sleep", 3], ["compute", 6]])
    deployment.until(lambda: deployment.job(job)["state"] == "in_progress", "it runs")
    deployment.ask("POST", f"/v1/jobs/{job}/pause", {})
    deployment.until(lambda: deployment.job(job)["state"] == "paused", "it is paused")
    deployment.ask("POST", f"/v1/jobs/{job}/resume", {})
    record(deployment.result(job))


def test_results_are_waited_for_by_many(deployment: Deployment, modules: Modules, record: Record) -> None:
    jobs = deployment.submit(modules["steps"], *[[["sleep", 0.5]]] * 4)
    found: list[Any] = []
    waiting = [threading.Thread(target=lambda job=job: found.append(deployment.result(job))) for job in jobs]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join(60)
    record(found)

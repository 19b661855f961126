"""Each part killed, and restarted, with jobs in every phase: nothing is lost, every effect is there once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.deployment import Deployment
from tests.acceptance.fixtures import Record
from tests.faults.conftest import Web, counting_web

pytestmark = pytest.mark.timeout(600)
LONG = 1_500_000
"""Additions that keep a guest busy for a moment."""


def survived(deployment: Deployment, module: str, hit: Callable[[], None]) -> list[object]:
    """Jobs in all phases while ``hit`` befalls the deployment; how they ended."""
    with counting_web(deployment.host) as web:
        inner: list[list[Any]] = [
            [["post", f"{web.url}/gate/post"]],
            [["get", f"{web.url}/gate/get"]],
            [["sleep", 2]],
            [["sleep", 8]],
            [["compute", LONG]],
            [["children", [[["sleep", 1]], [["compute", 9]]]]],
            [["put", ["kept", "x"]]],
        ]
        jobs = deployment.submit(module, *(around(web, number, steps) for number, steps in enumerate(inner)))
        deployment.until(lambda: len(web.posts) >= len(jobs), "all have begun")
        web.at_the_gate()
        web.at_the_gate()
        hit()
        web.gate.set()
        results = [deployment.result(job) for job in jobs]
        check(web, results)
        ends = [deployment.job(job) for job in jobs]
    assert [end.get("attempt", 1) for end in ends] == [1] * len(jobs), "no attempt of the user's was used up"
    # Whether anybody knows that a request was answered depends on what was lost when.
    return [result[1:-1] for result in results[1:]]


def around(web: Web, number: int, steps: list[Any]) -> list[Any]:
    """These steps between two requests that must not be repeated."""
    return [["post", f"{web.url}/{number}/before"], *steps, ["post", f"{web.url}/{number}/after"]]


def check(web: Web, results: list[list[object]]) -> None:
    """Everything that must not be repeated came once."""
    requests = [results[0][1], *(status for result in results for status in (result[0], result[-1]))]
    assert set(requests) <= {200, "interrupted"}
    again = {path: count for path, count in web.posts.items() if count != 1}
    assert again == {}
    assert {key for path, key in web.repeatable if path == "/gate/get"} == {
        key for path, key in list(web.repeatable)[:1]
    }


def test_every_part_killed(deployment: Deployment, modules: dict[str, str], record: Record) -> None:
    for part in deployment.parts:

        def hit(part: str = part) -> None:
            deployment.kill(part)
            deployment.start(part)

        record(survived(deployment, modules["steps"], hit))


def test_every_part_restarted(deployment: Deployment, modules: dict[str, str], record: Record) -> None:
    for part in deployment.parts:

        def hit(part: str = part) -> None:
            deployment.stop(part)
            deployment.start(part)

        record(survived(deployment, modules["steps"], hit))


def test_a_worker_that_does_not_come_back(
    deployment: Deployment, modules: dict[str, str], record: Record
) -> None:
    worker = deployment.parts[-1]
    record(survived(deployment, modules["steps"], lambda: deployment.kill(worker)))
    deployment.start(worker)

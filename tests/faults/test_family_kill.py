"""Jobs that wait for each other, for messages and for the outside, while processes are killed."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

import pytest

from mvm_ci.testing.cluster import Process, build_module
from tests.faults.conftest import Rig, Web

FAMILY: Final = Path(__file__).parent / "guest" / "family.py"
COUNT: Final = 16
"""Messages of each sender."""
CHILDREN: Final = 12


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_module(FAMILY, tmp_path_factory.mktemp("modules"))


@pytest.fixture
def family_rig(rig: Rig, family: Path) -> Rig:
    rig.module = rig.cluster.ok("module", "push", str(family))
    return rig


def submit(rig: Rig, role: str, **given: Any) -> str:
    spec = {"module": rig.module, "allow_hosts": ["127.0.0.1:*"], "input": {"role": role, **given}}
    answer = rig.ask("POST", "/v1/jobs", {"jobs": [spec]})
    return str(answer["jobs"][0]["id"])


def result(rig: Rig, job: str) -> Any:
    ended = rig.ended(job)
    assert ended["state"] == "completed", ended
    return rig.ask("GET", f"/v1/jobs/{job}/result")


def took(rig: Rig, job: str) -> int:
    return sum(kind == "Took" for kind, _ in rig.journal(job))


def complete(url: str, token: str, value: object) -> int:
    """The status that answers whoever completes a promise."""
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    request = urllib.request.Request(url, json.dumps({"value": value}).encode(), headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def kill(*processes: Process | None) -> None:
    for process in processes:
        assert process is not None
        process.end(signal.SIGKILL)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("rig", ["3s"], indirect=True)
def test_nothing_is_lost_and_nothing_comes_twice(family_rig: Rig, web: Web) -> None:
    rig = family_rig
    one, two = (rig.worker(name, "--slots", "4") for name in ("one", "two"))
    collector = submit(rig, "collector", count=2 * COUNT)
    senders = [submit(rig, "sender", to=collector, name=name, count=COUNT) for name in "ab"]
    parent = submit(rig, "parent", children=CHILDREN, sleep=0.4)
    asker = submit(rig, "asker", web=f"{web.url}/promise")

    def until(messages: int) -> None:
        rig.cluster.until(lambda: took(rig, collector) >= messages, f"{messages} messages are taken", 120)

    until(6)
    kill(one)
    one = rig.started("one again", "one", {}, "--slots", "4")
    until(12)
    kill(rig.plane)
    rig.start_again()
    until(18)
    kill(two)
    until(24)
    rig.cluster.until(lambda: "/promise" in web.bodies, "the promise is made")
    kill(rig.plane, one)
    rig.start_again()
    two = rig.started("two again", "two", {}, "--slots", "4")
    one = rig.started("one once more", "one", {}, "--slots", "4")
    told = json.loads(web.bodies["/promise"])
    assert complete(told["url"], "not the token", 0) == 403
    assert complete(told["url"], told["token"], {"yes": 1}) == 200
    kill(rig.plane)
    rig.start_again()
    assert complete(told["url"], told["token"], {"yes": 2}) == 409

    got = result(rig, collector)
    assert {name: [number for by, number in got if by == name] for name in "ab"} == {
        name: list(range(COUNT)) for name in "ab"
    }
    assert result(rig, parent) == [number**2 for number in range(CHILDREN)]
    assert result(rig, asker) == {"yes": 1}
    assert [result(rig, sender) for sender in senders] == [None, None]
    jobs = rig.ask("GET", "/v1/jobs?limit=1000")["jobs"]
    assert len(jobs) == 5 + CHILDREN, "each child was started once"
    assert {job["state"] for job in jobs} == {"completed"}
    assert {job.get("attempt", 1) for job in jobs} == {1}


@pytest.mark.timeout(300)
def test_children_of_a_parent_that_is_cancelled_while_the_control_plane_is_killed_are_cancelled(
    family_rig: Rig,
) -> None:
    rig = family_rig
    rig.worker("one", "--slots", "4")
    parent = submit(rig, "parent", children=8, sleep=600)
    rig.cluster.until(lambda: len(rig.ask("GET", "/v1/jobs")["jobs"]) == 9, "the children are there")
    rig.ask("POST", f"/v1/jobs/{parent}/cancel", {})
    kill(rig.plane)
    rig.start_again()
    assert rig.ended(parent)["state"] == "cancelled"
    for job in rig.ask("GET", "/v1/jobs")["jobs"]:
        if job["id"] != parent:
            # Those with the number 0 and 5 do not sleep.
            assert rig.ended(job["id"])["state"] in {"cancelled", "completed"}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("rig", ["10s"], indirect=True)
def test_a_thousand_children_and_a_worker_that_is_killed_under_them(family_rig: Rig) -> None:
    rig = family_rig
    one = rig.worker("one", "--slots", "2")
    rig.worker("two", "--slots", "2")
    parent = submit(rig, "parent", children=1_000, sleep=0)
    rig.cluster.until(lambda: rig.ask("GET", "/v1/status")["jobs"].get("completed", 0) > 200, "200 are done")
    kill(one)
    rig.started("one again", "one", {}, "--slots", "2")
    assert result(rig, parent) == [number**2 for number in range(1_000)]
    assert rig.ask("GET", "/v1/status")["jobs"]["completed"] == 1_001

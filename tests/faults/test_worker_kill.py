"""A worker that is killed in each phase of a job, and at each named point: the job goes on, nothing is done
twice.
"""

from __future__ import annotations

import json
import signal
from typing import Final

import pytest

from mvm_ci.testing.crash_points import POINTS
from tests.faults.conftest import Rig, Web

LONG: Final = 4_000_000
"""Additions that keep a guest busy for seconds."""


@pytest.mark.timeout(240)
@pytest.mark.parametrize("rig", ["8s"], indirect=True)
def test_a_worker_killed_with_a_job_in_every_phase_costs_none_of_them_anything(rig: Rig, web: Web) -> None:
    hooks, environ = rig.hooked()
    first = rig.worker("first", "--slots", "6", environ=environ)

    def post(path: str) -> tuple[str, str]:
        return ("post", web.url + path)

    asking, declared, telling = rig.submit(
        [post("/asking/before"), ("get", f"{web.url}/gate/get"), post("/asking/after")],
        [post("/declared/before"), ("put", f"{web.url}/gate/put"), post("/declared/after")],
        [post("/telling/before"), post("/gate/post"), post("/telling/after")],
    )
    for _ in range(3):
        web.at_the_gate()
    (hooks / "clock-stands").touch()  # no sleep ends at this worker
    suspended, computing, sleeping = rig.submit(
        [post("/suspended/before"), ("sleep", 15), post("/suspended/after")],
        [post("/computing/before"), ("count", LONG), post("/computing/after")],
        [post("/sleeping/before"), ("sleep", 1), post("/sleeping/after")],
    )
    rig.cluster.until(lambda: rig.job(suspended)["state"] == "suspended", "the long sleep suspends its job")
    rig.cluster.until(lambda: ("Slept", 1) in rig.journal(sleeping), "it sleeps")
    rig.cluster.until(lambda: ("HttpDone", 1) in rig.journal(computing), "it computes")
    first.popen.send_signal(signal.SIGSTOP)
    before = {job: rig.journal(job) for job in (asking, declared, telling, computing, sleeping)}
    (claimed,) = rig.submit([post("/claimed")])
    assert rig.job(claimed)["state"] == "claimed"
    first.end(signal.SIGKILL)
    rig.worker("second", "--slots", "6")
    web.gate.set()

    running = (asking, declared, telling, computing, sleeping)
    jobs = {job: rig.ended(job) for job in (*running, suspended, claimed)}
    assert {job["state"] for job in jobs.values()} == {"completed"}
    assert [(jobs[job]["epoch"], jobs[job]["losses"]) for job in running] == [(2, 1)] * 5
    # Without a worker it lost none; what had not started lost nothing either.
    assert (jobs[suspended]["epoch"], jobs[suspended].get("losses", 0)) == (2, 0)
    assert (jobs[claimed]["epoch"], jobs[claimed].get("losses", 0)) == (2, 0)
    # Each was in its phase when the worker died: the last entry of the first placement says so.
    assert [before[job][-1][0] for job in running] == [
        "HttpDone",
        "HttpDone",
        "HttpIntent",
        "HttpDone",
        "Slept",
    ]
    for job in running:
        assert rig.journal(job)[: len(before[job]) + 1] == [*before[job], ("Placement", 2)]
    results = [rig.ask("GET", f"/v1/jobs/{job}/result") for job in running]
    assert results == [
        [2, 2, 2],
        [2, 2, 2],
        [2, "interrupted", 2],
        [2, LONG * (LONG - 1) // 2, 2],
        [2, 2],
    ]
    # What may be repeated came twice, under one key; everything else once.
    assert web.repeatable == {("/gate/get", f"{asking}-1-1"): 2, ("/gate/put", f"{declared}-1-1"): 2}
    assert set(web.posts.values()) == {1}
    assert len(web.posts) == 2 * 6 + 1 + 1


AT: Final = (
    ("append.before", 1),  # nothing was durable
    ("append.before", 2),  # the answer to the GET and the intent of the POST were not
    ("append.after", 2),  # they were
    ("append.before", 3),  # the answer to the POST was not
    ("append.after", 3),
    ("effect.before", 1),
    ("effect.before", 2),
    ("effect.after", 1),
    ("effect.after", 2),
    ("blob.before", 1),
    ("blob.after", 1),
    ("wait.before", 1),
    ("wait.after", 1),
    ("ask.before", 1),
    ("ask.after", 1),
    ("mail.before", 1),
    ("mail.after", 1),
    ("report.before", 1),
    ("report.after", 1),
)
INTERRUPTED: Final = {("append.after", 2), ("append.before", 3), ("effect.before", 2), ("effect.after", 2)}
"""Between the intent and the result of the POST."""


def test_every_named_point_is_one_at_which_a_process_dies() -> None:
    assert {point for point, _ in AT} == set(POINTS)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("rig", ["600s"], indirect=True)
@pytest.mark.parametrize(
    "points", [AT[:5], AT[5:9], AT[9:13], AT[13:]], ids=["append", "effect", "wait", "rest"]
)
def test_a_worker_killed_at_a_named_point_repeats_no_finished_effect(
    rig: Rig, web: Web, points: tuple[tuple[str, int], ...]
) -> None:
    hooks, environ = rig.hooked()
    plan = hooks / "plan.json"
    worker = rig.worker("mortal", environ=environ)
    steps = [("get", f"{web.url}/large"), ("post", f"{web.url}/once"), ("sleep", 0.05), ("bytes", 5_000)]
    steps += [("annotate", "late"), ("receive", "go")]
    for point in points:
        web.posts.clear()
        web.repeatable.clear()
        plan.write_text(json.dumps(point))
        (job,) = rig.submit(steps)
        rig.ask("POST", "/v1/messages", {"to": job, "type": "go", "body": "gone"})
        assert worker.wait() == -signal.SIGKILL, f"{point}: {worker.stderr}"
        plan.unlink()
        worker = rig.started("mortal", "mortal", environ)
        ended = rig.ended(job)
        assert (ended["state"], ended.get("attempt", 1)) == ("completed", 1), point
        assert ended["epoch"] == (1 if point[0] == "report.after" else 2)
        answer, told, text, message = rig.ask("GET", f"/v1/jobs/{job}/result")
        assert (answer, text, message) == (200_000, "r" * 5_000, "gone")
        assert ended["metadata"] == {"stage": "late"}
        assert set(web.repeatable) == {("/large", f"{job}-1-0")}
        if point in INTERRUPTED:
            assert told == "interrupted", point
            assert web.posts["/once"] == (point not in {("append.after", 2), ("effect.before", 2)}), point
        else:
            assert (told, web.posts["/once"]) == (2, 1), point
    assert rig.ask("GET", "/v1/status")["stale_refused"] == 0

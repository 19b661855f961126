"""Schedules from end to end, through real processes."""

from __future__ import annotations

import json
import signal
from datetime import datetime

from mvm_ci.testing.cluster import Cluster


def jobs_of(cluster: Cluster, name: str) -> list[str]:
    found = cluster.json("job", "list", "--limit", "1000")["jobs"]
    return [job["id"] for job in reversed(found) if job["name"] == name]


def test_a_schedule_runs_its_job_again_and_again(shared: Cluster, steps: str) -> None:
    work = json.dumps([["print", "$scheduled_time"]])
    shared.ok(*("schedule", "create", "ticks", "every 1s", steps, "--overlap", "allow"), "--input", work)
    shared.until(lambda: len(jobs_of(shared, "ticks")) >= 3, "it fires three times")
    shared.ok("schedule", "pause", "ticks")
    view = shared.json("schedule", "show", "ticks")
    made = jobs_of(shared, "ticks")
    assert (view["paused"], view["fires"], view["last_job"]) == (True, len(made), made[-1])
    for job in made:
        assert shared.ok("job", "wait", job) == "completed"
    times = [shared.ok("job", "logs", job) for job in made]
    assert times == sorted(set(times))
    assert all(datetime.fromisoformat(time).tzinfo is not None for time in times)
    by_hand = shared.ok("schedule", "trigger", "ticks")
    assert shared.ok("job", "wait", by_hand) == "completed"
    assert shared.ok("schedule", "delete", "ticks", "--yes") == "ticks: deleted"


def test_a_schedule_outlives_its_control_plane(control: Cluster, noop: str) -> None:
    control.ok("schedule", "create", "ticks", "every 1s", noop, "--overlap", "allow")
    control.until(lambda: control.json("schedule", "show", "ticks")["fires"] >= 2, "it fires")
    (plane,) = control.processes
    plane.end(signal.SIGKILL)
    control.processes.remove(plane)
    control.control_plane()
    before = control.json("schedule", "show", "ticks")["fires"]
    control.until(lambda: control.json("schedule", "show", "ticks")["fires"] > before, "it fires again")
    control.ok("schedule", "pause", "ticks")
    assert control.json("schedule", "show", "ticks")["fires"] == len(jobs_of(control, "ticks"))

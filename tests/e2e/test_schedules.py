"""Schedules from end to end, through real processes."""

from __future__ import annotations

import signal

from mvm_ci.testing.cluster import Cluster


def jobs_of(cluster: Cluster, name: str) -> list[str]:
    found = cluster.json("job", "list", "--limit", "1000")["jobs"]
    return [job["id"] for job in reversed(found) if job["name"] == name]


def test_a_schedule_runs_its_job_again_and_again(shared: Cluster, noop: str) -> None:
    shared.ok("schedule", "create", "ticks", "every 1s", noop, "--overlap", "allow")
    shared.until(lambda: len(jobs_of(shared, "ticks")) >= 2, "it fires twice")
    shared.ok("schedule", "pause", "ticks")
    view = shared.json("schedule", "show", "ticks")
    made = jobs_of(shared, "ticks")
    assert (view["paused"], view["fires"], view["last_job"]) == (True, len(made), made[-1])
    for job in made[:2]:
        assert shared.ok("job", "wait", job) == "completed"
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

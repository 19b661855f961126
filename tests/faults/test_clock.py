"""A wall clock that jumps by an hour under every process: no lease notices, no wake-up is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.faults.conftest import HOOKS, Rig, Web

HOUR_MS = 3_600_000

# Far shorter than a jump, and longer than a busy machine may keep a heartbeat waiting.
pytestmark = pytest.mark.parametrize("rig", ["60s"], indirect=True)


@pytest.fixture(autouse=True)
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file: by how many milliseconds all clocks are wrong."""
    directory = tmp_path / "clocks"
    directory.mkdir()
    shutil.copy(HOOKS, directory / "sitecustomize.py")
    monkeypatch.setenv("PYTHONPATH", str(directory))
    return directory / "clock-offset-ms"


def jump(clock: Path, offset_ms: int) -> None:
    written = clock.with_suffix(".new")
    written.write_text(str(offset_ms))
    written.replace(clock)


def suspended(rig: Rig, *jobs: str) -> None:
    for job in jobs:
        rig.cluster.until(lambda job=job: rig.job(job)["state"] == "suspended", f"{job} is suspended")  # type: ignore[misc]


def test_a_clock_set_forward_ends_the_sleeps_that_are_over_and_no_lease(
    rig: Rig, web: Web, clock: Path
) -> None:
    rig.worker("first", "--slots", "2")
    steps = [("sleep", 1_800), ("post", f"{web.url}/due")], [("sleep", 7_200), ("post", f"{web.url}/later")]
    due, later = rig.submit(*steps)
    (running,) = rig.submit([("get", f"{web.url}/gate"), ("post", f"{web.url}/running")])
    web.at_the_gate()
    suspended(rig, due, later)
    (soon,) = rig.submit([("sleep", 7), ("clock", None), ("post", f"{web.url}/soon")])
    suspended(rig, soon)
    jump(clock, HOUR_MS)
    ended = [rig.ended(job) for job in (due, soon)]
    # Each was woken once, and saw its sleep over.
    assert [(job["state"], job["epoch"]) for job in ended] == [("completed", 2)] * 2
    assert (rig.job(later)["state"], rig.job(later)["epoch"]) == ("suspended", 1)
    web.gate.set()
    assert (rig.ended(running)["state"], rig.job(running)["epoch"]) == ("completed", 1)
    assert web.posts == {"/due": 1, "/soon": 1, "/running": 1}
    assert rig.plane is not None
    assert "session_lost" not in rig.plane.stderr


def test_a_clock_set_back_makes_no_sleep_in_place_longer_and_loses_neither_lease_nor_wake_up(
    rig: Rig, web: Web, clock: Path
) -> None:
    rig.worker("first", "--slots", "3")
    (running,) = rig.submit([("get", f"{web.url}/gate"), ("post", f"{web.url}/running")])
    (long,) = rig.submit([("sleep", 7), ("post", f"{web.url}/long")])
    web.at_the_gate()
    suspended(rig, long)
    (short,) = rig.submit([("clock", None), ("sleep", 3), ("clock", None), ("post", f"{web.url}/short")])
    rig.cluster.until(lambda: ("Slept", 1) in rig.journal(short), "it sleeps in place")
    jump(clock, -HOUR_MS)
    assert (rig.ended(short)["state"], rig.job(short)["epoch"]) == ("completed", 1)
    began, ended, _ = rig.ask("GET", f"/v1/jobs/{short}/result")
    assert ended - began >= 3
    # A suspended job waits for its time by the clock, however late that is; it is not forgotten.
    (after,) = rig.submit([("sleep", 7), ("post", f"{web.url}/after")])
    suspended(rig, after)
    jump(clock, 0)
    assert [(rig.ended(job)["state"], rig.job(job)["epoch"]) for job in (long, after)] == [
        ("completed", 2)
    ] * 2
    web.gate.set()
    assert (rig.ended(running)["state"], rig.job(running)["epoch"]) == ("completed", 1)
    assert web.posts == {"/long": 1, "/short": 1, "/after": 1, "/running": 1}
    assert rig.plane is not None
    assert "session_lost" not in rig.plane.stderr

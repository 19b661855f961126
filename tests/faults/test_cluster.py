"""Real processes that are killed, frozen, copied and emptied: nothing is lost, nothing is done twice."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest.build_c import build_c
from mvm_ci.testing.cluster import ROOT, Process
from tests.faults.conftest import Rig, Web


@contextlib.contextmanager
def frozen(process: Process) -> Iterator[None]:
    process.popen.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.popen.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("rig", ["2s"], indirect=True)
def test_a_worker_that_stood_still_repeats_no_effect(rig: Rig, web: Web) -> None:
    first = rig.worker("first")
    (job,) = rig.submit([("get", f"{web.url}/gate"), ("post", f"{web.url}/once")])
    web.at_the_gate()
    rig.worker("second")
    with frozen(first):
        web.at_the_gate()
        web.gate.set()
        assert rig.ended(job)["epoch"] == 2
    rig.cluster.connected("first", first)
    # It is of use again, and what it had been about to do is not done.
    rig.cluster.ok("worker", "drain", "second")
    (another,) = rig.submit([("post", f"{web.url}/another")])
    assert rig.ended(another)["state"] == "completed"
    assert web.posts == {"/once": 1, "/another": 1}


@pytest.mark.parametrize("rig", ["600s"], indirect=True)
def test_a_worker_that_is_started_again_at_once_goes_on_long_before_its_lease_is_over(
    rig: Rig, web: Web
) -> None:
    first = rig.worker("first")
    (job,) = rig.submit([("post", f"{web.url}/once"), ("get", f"{web.url}/gate")])
    web.at_the_gate()
    first.end(signal.SIGKILL)
    rig.started("first", "first", {})
    web.at_the_gate()
    web.gate.set()
    ended = rig.ended(job)
    assert (ended["state"], ended["epoch"], ended.get("attempt", 1)) == ("completed", 2, 1)
    assert web.posts == {"/once": 1}


def test_a_copied_state_directory_disturbs_nobody(rig: Rig, web: Web) -> None:
    first = rig.worker("first")
    (job,) = rig.submit([("get", f"{web.url}/gate"), ("post", f"{web.url}/once")])
    web.at_the_gate()
    place = rig.cluster.directory
    shutil.copytree(place / "first", place / "copy")
    copy = rig.started("copy", "copy", {})
    rig.cluster.until(lambda: copy.stderr.count("key-in-use") >= 2, "the copy is refused")
    web.gate.set()
    assert rig.ended(job)["epoch"] == 1
    assert first.popen.poll() is None
    # When the first one is gone for good the copy is the worker.
    first.end(signal.SIGKILL)
    (another,) = rig.submit([("bytes", 1)])
    assert rig.ended(another)["state"] == "completed"


@pytest.mark.parametrize("rig", ["2s"], indirect=True)
def test_a_drained_worker_hands_over_what_runs_and_what_waits(rig: Rig, web: Web) -> None:
    first = rig.worker("first")
    jobs = rig.submit(*[[("post", f"{web.url}/{n}"), ("get", f"{web.url}/gate")] for n in range(3)])
    web.at_the_gate()
    rig.worker("second", "--slots", "3")
    rig.cluster.ok("worker", "drain", "first", "--deadline", "1ms")
    for _ in jobs:
        web.at_the_gate()
    web.gate.set()
    ended = [rig.ended(job) for job in jobs]
    assert [(one["state"], one.get("losses", 0), one.get("attempt", 1)) for one in ended] == [
        ("completed", 0, 1)
    ] * 3
    assert web.posts == {"/0": 1, "/1": 1, "/2": 1}
    assert rig.plane is not None
    assert "session_lost" not in rig.plane.stderr
    # It is there all the time, gets nothing, and goes on when it may.
    shown = rig.cluster.json("worker", "show", "first")
    assert (shown["state"], shown["connected"], shown["jobs"]) == ("draining", True, 0)
    rig.cluster.ok("worker", "drain", "second")
    (waiting,) = rig.submit([("bytes", 1)])
    assert rig.job(waiting)["state"] == "pending"
    rig.cluster.ok("worker", "resume", "first")
    assert rig.ended(waiting)["state"] == "completed"
    assert first.popen.poll() is None


def test_what_is_large_survives_the_loss_of_a_worker(rig: Rig, web: Web) -> None:
    first = rig.worker("first")
    steps = [("post", f"{web.url}/large"), ("length", "i" * 100_000), ("bytes", 50_000), ("lines", 6_000)]
    (job,) = rig.submit([*steps, ("get", f"{web.url}/gate")])
    web.at_the_gate()
    # The journal does not fit a frame; input, result and the body of the answer are blobs.
    rig.worker("second")
    first.end(signal.SIGKILL)
    web.at_the_gate()
    web.gate.set()
    assert rig.ended(job)["state"] == "completed"
    assert rig.ask("GET", f"/v1/jobs/{job}/result") == [200_000, 100_000, "r" * 50_000, 2]
    assert web.posts == {"/large": 1}
    lines = rig.cluster.ok("job", "logs", job).splitlines()
    assert [int(line[:6]) for line in lines] == list(range(6_000))


def test_caches_that_somebody_empties_are_filled_again(rig: Rig) -> None:
    noop = rig.cluster.ok("module", "push", str(build_c(ROOT / "guest" / "examples" / "noop.c")))
    compiled = rig.cluster.directory / "compiled"
    worker = rig.worker("first", environ={"MVM_CI_MODULE_CACHE": str(compiled)})
    (job,) = rig.submit([], module=noop)
    assert rig.ended(job)["state"] == "completed"
    for directory in (compiled, rig.cluster.directory / "first" / "blobs"):
        for file in directory.iterdir():
            file.unlink()
    # A new runner has nothing loaded.
    runners = subprocess.run(
        ["pgrep", "-P", str(worker.popen.pid), "-f", "mvm_ci.engine.runner"],
        capture_output=True,
        text=True,
        check=True,
    )
    subprocess.run(["kill", "-9", *runners.stdout.split()], check=True)
    rig.cluster.until(lambda: "runner_gone" in worker.stderr, "the runner is gone")
    (again,) = rig.submit([], module=noop)
    ended = rig.ended(again)
    assert ended["state"] == "completed", ended


def test_a_control_plane_killed_under_load_loses_and_repeats_nothing(rig: Rig, web: Web) -> None:
    rig.worker("first", "--slots", "2")
    rig.worker("second", "--slots", "2")
    acknowledged: list[str] = []
    over = threading.Event()

    def load() -> None:
        number = 0
        while not over.is_set():
            number += 1
            todo = [("post", f"{web.url}/{number}"), ("sleep", 6), ("bytes", 6_000)]
            # Who was not answered may not know whether the job is there: it repeats nothing.
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                acknowledged.extend(rig.submit(todo, [("bytes", 1)], [("sleep", 600)]))
                rig.ask("POST", f"/v1/jobs/{acknowledged[-1]}/cancel")

    loader = threading.Thread(target=load)
    loader.start()
    try:
        for count in (20, 40):
            rig.cluster.until(lambda enough=count: sum(web.posts.values()) >= enough, "load")  # type: ignore[misc]
            assert rig.plane is not None
            rig.plane.end(signal.SIGKILL)
            rig.start_again()
    finally:
        over.set()
        loader.join(timeout=60)

    # Of every three jobs the last one was cancelled, unless the control plane was gone just then.
    kept = [job for number, job in enumerate(acknowledged) if number % 3 < 2]
    assert {rig.ended(job)["state"] for job in kept} == {"completed"}
    asleep = {rig.job(job)["state"] for job in acknowledged[2::3]}
    assert asleep <= {"cancelled", "suspended"}
    assert set(web.posts.values()) == {1}


DYING = """
import sys
from mvm_ci.lifecycle.wake import Waker

async def run(self):
    raise RuntimeError("a bug")

Waker.run = run
from mvm_ci.cli.main import main
sys.exit(main())
"""


def test_a_control_plane_of_which_a_part_dies_ends_and_says_why(tmp_path: Path) -> None:
    place = ("--bind", "127.0.0.1:0", "--p2p-bind", "127.0.0.1:0", "--state-dir", str(tmp_path / "state"))
    done = subprocess.run(
        [sys.executable, "-c", DYING, "control-plane", *place],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 70, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert "waker failed: RuntimeError: a bug" in last

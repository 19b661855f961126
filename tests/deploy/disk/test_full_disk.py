"""A control plane whose disk is full: it says so, loses nothing that it acknowledged, and goes on."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import urllib.error
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mvm_ci.testing.cluster import cluster
from tests.faults.conftest import STEPS, Rig, Web, web

__all__ = ["web"]  # a fixture, found here by its name

SIZE = "size=400m"
LINES = ("lines", 14_000)
"""More output than the write-ahead log has room for."""
CHUNK = b"\0" * 65_536


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own for the control plane's state."""
    if os.geteuid() != 0:
        pytest.fail("this test mounts a file system: run it as root", pytrace=False)
    place = tmp_path / "control-plane"
    place.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"{SIZE},mode=700", "none", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture
def rig(tmp_path: Path, disk: Path) -> Iterator[Rig]:
    with cluster(tmp_path) as made:
        rig = Rig(made)
        rig.start(lease="3s")
        module = tmp_path / "steps.wasm"
        made.ok("build", str(STEPS), "-o", str(module))
        rig.module = made.ok("module", "push", str(module))
        yield rig


@contextlib.contextmanager
def full(disk: Path) -> Iterator[None]:
    """Not one more byte fits until the block ends."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for piece in (CHUNK, b"\0" * 4096, b"\0"):
            with contextlib.suppress(OSError):
                for _ in range(10_000):
                    if file.write(piece) < len(piece):
                        break
    try:
        yield
    finally:
        ballast.unlink()


def refusal(rig: Rig, *jobs: Sequence[tuple[str, object]]) -> tuple[int, Any] | None:
    """How a submission is refused; None if it was taken."""
    try:
        rig.submit(*jobs)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())
    return None


def counted(rig: Rig) -> int:
    return sum(rig.ask("GET", "/v1/status")["jobs"].values())


@pytest.mark.timeout(300)
def test_a_full_disk_refuses_what_is_new_loses_nothing_and_passes(disk: Path, rig: Rig, web: Web) -> None:
    rig.worker("first", "--slots", "2")
    acknowledged = rig.submit(
        [
            ("post", f"{web.url}/before"),
            ("get", f"{web.url}/gate"),
            ("post", f"{web.url}/after"),
            ("bytes", 9),
        ],
        [("post", f"{web.url}/asleep"), ("sleep", 7), ("post", f"{web.url}/awake")],
    )
    web.at_the_gate()
    rig.cluster.until(lambda: rig.job(acknowledged[1])["state"] == "suspended", "it sleeps")
    with full(disk):
        answer = None
        for _ in range(500):  # the disk is not looked at for each one
            few = [[("length", "i" * 3_000)]] * 10
            before = counted(rig)
            answer = refusal(rig, *few)
            if answer is not None:
                break
            assert counted(rig) == before + len(few)
        assert answer is not None, "nothing was refused"
        status, problem = answer
        assert (status, problem["code"]) == (429, "disk-full")
        assert "0 MiB are free on the disk" in problem["detail"]
        assert "\n" not in problem["detail"]
        assert counted(rig) == before  # all or none
        # A large input, which is a file of its own, too; what there is can be read.
        large = refusal(rig, [("length", "i" * 500_000)])
        assert large is not None
        assert large[0] == 429
        assert rig.job(acknowledged[0])["state"] in {"in_progress", "pending"}
        web.gate.set()  # the intent of what follows has no room
        assert rig.plane is not None
        plane = rig.plane
        rig.cluster.until(lambda: "reports_not_stored" in plane.stderr, "a report has no room")
        assert web.posts == {"/before": 1, "/asleep": 1}
    rig.cluster.until(lambda: refusal(rig, [("bytes", 1)]) is None, "there is room again")
    assert [rig.ended(job)["state"] for job in acknowledged] == ["completed"] * 2
    rig.cluster.until(lambda: set(rig.ask("GET", "/v1/status")["jobs"]) == {"completed"}, "all the others")
    assert counted(rig) == before + 1
    assert web.posts == {"/before": 1, "/asleep": 1, "/after": 1, "/awake": 1}
    assert all(rig.job(job).get("attempt", 1) == 1 for job in acknowledged)
    assert plane.popen.poll() is None

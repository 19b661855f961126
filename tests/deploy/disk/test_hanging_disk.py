"""A control plane whose disk hangs: it says nothing more, so that whoever watches it finds out."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mvm_ci.testing.cluster import cluster
from tests.e2e.manager import Manager, supervised_control_plane

BYTES = 64 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that can be frozen, for the control plane's state."""
    if os.geteuid() != 0:
        pytest.fail("this test mounts a file system: run it as root", pytrace=False)
    image, place = tmp_path / "image", tmp_path / "control-plane"
    with image.open("wb") as file:
        file.truncate(BYTES)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    place.mkdir(mode=0o700)
    subprocess.run(["mount", "-o", "loop", image, place], check=True)
    (place / "lost+found").rmdir()  # a state directory is ours alone
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def test_an_idle_control_plane_whose_disk_hangs_falls_silent(tmp_path: Path, disk: Path) -> None:
    manager = Manager(tmp_path / "notify")
    with cluster(tmp_path) as made:
        plane = supervised_control_plane(made, manager)
        manager.until(lambda fields: "READY" in fields, "it is ready")
        manager.pings(5)
        subprocess.run(["fsfreeze", "--freeze", disk], check=True)
        try:
            manager.silent()  # what was on its way
            assert manager.silent()
            assert plane.popen.poll() is None
        finally:
            subprocess.run(["fsfreeze", "--unfreeze", disk], check=True)
        manager.pings(5)
        assert made.json("status")["workers"] == 0
        assert plane.end() == 0, plane.stderr
    manager.socket.close()

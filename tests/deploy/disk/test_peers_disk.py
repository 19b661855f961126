"""A worker or an engine whose volume is full, and goes on once it is not; or read-only when it starts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.disk.test_full_disk import full
from tests.e2e.bad_setup import Setup, built, ended, setup

__all__ = ["built", "setup"]  # fixtures, found here by their names

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own for a peer's state."""
    if os.geteuid() != 0:
        pytest.fail("this test mounts a file system: run it as root", pytrace=False)
    place = tmp_path / "peer"
    place.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=700", "none", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def peers(setup: Setup, kind: str) -> list[str]:
    """The one with the volume, and for an engine a worker: their names."""
    if kind == "worker":
        setup.cluster.connected("peer", setup.peer("worker", "peer", environ=setup.token()))
        return ["peer"]
    engine = setup.peer("engine", "peer", "--bind", "127.0.0.1:0", environ=setup.token())
    url = engine.line("engine: ")
    token = str(setup.directory / "peer" / "engine-token")
    reach = ("--engine", url, "--engine-token-file", token)
    setup.cluster.connected("follower", setup.peer("worker", "follower", *reach, environ=setup.token()))
    return ["peer", "follower"]


@pytest.mark.parametrize("kind", ["worker", "engine"])
def test_a_volume_that_is_full_for_a_while(setup: Setup, volume: Path, kind: str) -> None:
    setup.plane()
    names = peers(setup, kind)
    there = [one for one in setup.cluster.processes if one.name in names]
    with full(volume):
        job = setup.submit("once", ("post", f"{setup.web.url}/first"))
        setup.says(there[0], "No space left", str(volume))
    setup.completes(job)
    setup.alive(*there)


@pytest.mark.parametrize("kind", ["worker", "engine"])
def test_a_volume_that_is_read_only_at_the_start(setup: Setup, volume: Path, kind: str) -> None:
    setup.plane()
    subprocess.run(["mount", "-o", "remount,ro", volume], check=True)
    bind = ("--bind", "127.0.0.1:0") if kind == "engine" else ()
    process = setup.peer(kind, "peer", *bind, environ=setup.token())
    ended(process, 2, str(volume), "Read-only file system")

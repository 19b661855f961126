"""A Docker daemon for the tests: the one that runs here, else one of their own, gone when they are done.

There is never a second daemon beside one that runs: the two would share bridges and packet filter rules.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

START_S: Final = 60.0
STOP_S: Final = 60.0
COMMAND_S: Final = 300
KEPT: Final = "72h"
"""How long layers that no image has any more are kept for the next build."""
_EMPTY_TABLES: Final = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
}
_BRIDGE: Final = Path("/sys/class/net/docker0")
_FORWARD: Final = Path("/proc/sys/net/ipv4/ip_forward")


def cache() -> Path:
    """What is kept for the next run: images and their layers."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mvm-ci" / "docker"


@contextlib.contextmanager
def daemon() -> Iterator[str]:
    """The address (``DOCKER_HOST``) of a daemon that answers."""
    found = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if _answers(found):
        yield found
        return
    directory = Path(tempfile.mkdtemp(prefix="mvm-ci-docker-"))
    try:
        with _alone(), _network_as_it_was(), _running(directory) as host:
            _remove_containers(host)  # of a run that was killed
            try:
                yield host
            finally:
                _remove_containers(host)
                docker(host, "image", "prune", "--force", "--filter", f"until={KEPT}")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def docker(host: str, *args: str) -> str:
    """What ``docker`` printed; it must succeed."""
    done = subprocess.run(
        ["docker", "--host", host, *args],
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )
    assert done.returncode == 0, f"docker {' '.join(args)}: {done.stderr}"
    return done.stdout


@contextlib.contextmanager
def _running(directory: Path) -> Iterator[str]:
    host = f"unix://{directory}/docker.sock"
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "dockerd",
                *(
                    "--host",
                    host,
                    "--data-root",
                    str(cache() / "data"),
                    "--exec-root",
                    str(directory / "exec"),
                ),
                *("--pidfile", str(directory / "pid"), "--log-level", "warn"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # a Ctrl-C ends the tests first, they end it
        )
        try:
            deadline = time.monotonic() + START_S
            while not _answers(host):
                said = (directory / "log").read_text()[-4000:]
                assert process.poll() is None, f"dockerd ended: {said}"
                assert time.monotonic() < deadline, f"dockerd does not answer: {said}"
                time.sleep(0.1)
            yield host
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=STOP_S)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One daemon at a time works on the cache; another run of the tests waits."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _network_as_it_was() -> Iterator[None]:
    """What a daemon leaves behind in this machine's network is undone."""
    bridge, forward = _BRIDGE.exists(), _FORWARD.read_text()
    rules = _run("iptables-save")
    for table, chains in _EMPTY_TABLES.items():
        if f"*{table}\n" not in rules:  # nobody had used it
            rules += "".join([f"*{table}\n", *(f":{chain} ACCEPT [0:0]\n" for chain in chains), "COMMIT\n"])
    try:
        yield
    finally:
        _run("iptables-restore", stdin=rules)
        _FORWARD.write_text(forward)
        if not bridge and _BRIDGE.exists():
            _run("ip", "link", "delete", _BRIDGE.name)


def _remove_containers(host: str) -> None:
    if found := docker(host, "ps", "--all", "--quiet").split():
        docker(host, "rm", "--force", "--volumes", *found)
    docker(host, "network", "prune", "--force")
    docker(host, "volume", "prune", "--force")


def _answers(host: str) -> bool:
    done = subprocess.run(
        ["docker", "--host", host, "version", "--format", "{{.Server.Version}}"],
        capture_output=True,
        timeout=30,
        check=False,
    )
    return done.returncode == 0


def _run(*command: str, stdin: str = "") -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout

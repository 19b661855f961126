"""Network namespaces, the cables between them, and their firewalls."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest

PACKAGES: Final = {"nft": "nftables", "ip": "iproute2"}
PREFIX: Final = "mvm-ci-net"
"""Of the namespaces' names; the id of the process that made them follows."""
CLONE_NEWNET: Final = 0x40000000
_COMMAND_S: Final = 30
Key = tuple[str | int, ...]
"""What is in a set of a firewall: addresses, protocols, ports."""


def demand_tools() -> None:
    """Says what is missing, at once; nothing is ever skipped."""
    if os.geteuid() != 0:
        pytest.fail("these tests make network namespaces: run them as root", pytrace=False)
    missing = [package for program, package in PACKAGES.items() if shutil.which(program) is None]
    if missing:
        pytest.fail(f"missing: apt-get install {' '.join(missing)}", pytrace=False)
    # A run over its budget is ended by this signal: what was made is removed all the same.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def remove_stale() -> None:
    """Removes the namespaces of test runs that are no more."""
    listed = run("ip", "netns", "list")
    names = [line.split()[0] for line in listed.splitlines() if line.startswith(PREFIX)]
    remove([name for name in names if not _runs(name.split("-")[3])])


def _runs(pid: str) -> bool:
    """Whether there is such a process, other than one that ended and was not waited for."""
    try:
        return Path("/proc", pid, "cmdline").read_bytes() != b""
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread, the sockets it makes and the processes it starts live in ``namespace`` meanwhile."""
    libc = ctypes.CDLL(None, use_errno=True)
    with (
        Path("/proc/thread-self/ns/net").open("rb") as home,
        Path("/run/netns", namespace).open("rb") as there,
    ):
        _enter(libc, there.fileno())
        try:
            yield
        finally:
            _enter(libc, home.fileno())


def _enter(libc: ctypes.CDLL, descriptor: int) -> None:
    if libc.setns(descriptor, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def ip(*args: str) -> None:
    """``ip`` with these arguments; it must succeed."""
    run("ip", *args)


def nft(namespace: str, script: str) -> None:
    """Runs a script of ``nft`` in a namespace; it must succeed."""
    run("ip", "netns", "exec", namespace, "nft", "-f", "-", stdin=script)


def run(*command: str, stdin: str = "") -> str:
    """What the command printed; it must succeed."""
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=_COMMAND_S, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def cable(near: str, near_end: str, far: str, far_end: str, network: str) -> None:
    """Connects two namespaces; the near end is .1 and the far one's way to everything else."""
    ip("link", "add", near_end, "netns", near, "type", "veth", "peer", "name", far_end, "netns", far)
    for namespace, end, number in ((near, near_end, 1), (far, far_end, 2)):
        ip("-n", namespace, "address", "add", f"{network}.{number}/24", "dev", end)
        ip("-n", namespace, "link", "set", end, "up")
    ip("-n", far, "route", "add", "default", "via", f"{network}.1")


def add(namespace: str) -> None:
    """Makes a namespace, with its loopback."""
    ip("netns", "add", namespace)
    ip("-n", namespace, "link", "set", "lo", "up")


def forward(namespace: str) -> None:
    """It passes on what is not for itself."""
    with inside(namespace):
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def elements(namespace: str, name: str) -> set[Key]:
    """What is in a set of keys with several parts, of the table ``ip filter``."""
    listed = run("ip", "netns", "exec", namespace, "nft", "-j", "list", "set", "ip", "filter", name)
    (found,) = [one["set"].get("elem", []) for one in json.loads(listed)["nftables"] if "set" in one]
    return {tuple(one["concat"]) for one in found}


def remove(namespaces: Iterable[str]) -> None:
    """Removes those that are there, and ends what still runs in them."""
    for namespace in namespaces:
        if not Path("/run/netns", namespace).exists():
            continue
        for pid in run("ip", "netns", "pids", namespace).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        ip("netns", "del", namespace)

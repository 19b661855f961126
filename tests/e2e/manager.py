"""A stand-in for systemd that keeps what one process says of itself."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mvm_ci.testing.cluster import Cluster, Process

EVERY_S = 0.2
"""Between two pings."""


@dataclass
class Manager:
    """Stands for systemd: keeps what one process says."""

    path: Path
    said: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(0.05)

    @property
    def environ(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": str(self.path), "WATCHDOG_USEC": str(round(EVERY_S * 2e6))}

    def listen(self) -> None:
        """Keeps what is there, or comes in a moment."""
        with contextlib.suppress(TimeoutError):
            while True:
                lines = self.socket.recv(4096).decode().splitlines()
                self.said.append(dict(line.split("=", 1) for line in lines))

    def until(self, fact: Callable[[dict[str, str]], bool], what: str) -> None:
        """Returns when something said is so: of what comes from now on."""
        heard = len(self.said)
        deadline = time.monotonic() + 60
        while not any(fact(fields) for fields in self.said[heard:]):
            assert time.monotonic() < deadline, f"{what}: {self.said[-5:]}"
            self.listen()

    def pings(self, number: int) -> None:
        """Returns after so many more."""
        for _ in range(number):
            self.until(lambda fields: "WATCHDOG" in fields, "a ping")

    def silent(self) -> bool:
        """Whether nothing comes for many times as long as a ping takes."""
        self.listen()
        before = len(self.said)
        time.sleep(EVERY_S * 6)
        self.listen()
        return len(self.said) == before

    def index(self, name: str) -> int:
        """When this was said."""
        return next(number for number, fields in enumerate(self.said) if name in fields)


def supervised_control_plane(cluster: Cluster, manager: Manager) -> Process:
    """A control plane of which ``manager`` hears."""
    return cluster.start(
        "control-plane",
        *("--bind", "127.0.0.1:0", "--p2p-bind", "127.0.0.1:0", "--lease", cluster.lease),
        *("--state-dir", str(cluster.directory / "control-plane"), "--ticket-file", str(cluster.ticket)),
        *("--credentials-file", str(cluster.credentials)),
        environ=manager.environ,
    )

"""A cluster of real processes, started with the commands a user would type."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START_SECONDS = 60.0


class ClusterFailed(Exception):
    """A process could not be started or ended by itself; the text says why."""


def until(
    fact: Callable[[], bool], what: str, alive: Callable[[], None], seconds: float = START_SECONDS
) -> None:
    """Waits for a fact about another process. Raises ``ClusterFailed`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not fact():
        alive()
        if time.monotonic() > deadline:
            raise ClusterFailed(f"{what} took longer than {seconds:.0f} s")
        time.sleep(0.05)


@dataclass(kw_only=True)
class Cluster:
    """Processes whose state lives in ``directory``; ``close`` ends those that still run."""

    directory: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    expected_dead: set[str] = field(default_factory=set)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command: this cluster's credentials, the user's compiled modules."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return os.environ | {
            "MVM_CI_CREDENTIALS": str(self.directory / "credentials.json"),
            "MVM_CI_MODULE_CACHE": str(cache / "mvm-ci" / "compiled"),
        }

    def command(self, *arguments: str) -> Any:  # noqa: ANN401 (JSON)
        """Runs ``mvm-ci … --json`` to its end and returns what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "mvm_ci", *arguments, "--json"],
            env=self.environment,
            capture_output=True,
            timeout=180,
            check=False,
        )
        if done.returncode:
            raise ClusterFailed(f"`mvm-ci {' '.join(arguments[:2])}` failed: {done.stderr.decode().strip()}")
        return json.loads(done.stdout)

    def start(self, name: str, *arguments: str) -> None:
        """Starts ``mvm-ci …``; its output goes to ``NAME.log``."""
        with (self.directory / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "mvm_ci", *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def start_control_plane(self) -> None:
        """API and P2P endpoint on free loopback ports; returns once ticket and credentials are written."""
        place = self.directory
        self.start(
            "control-plane",
            *("control-plane", "--bind", "127.0.0.1:0", "--p2p-bind", "127.0.0.1:0"),
            *("--state-dir", str(place / "control-plane")),
            *("--ticket-file", str(place / "ticket")),
            *("--credentials-file", str(place / "credentials.json")),
        )
        files = [place / "ticket", place / "credentials.json"]
        until(lambda: all(file.exists() for file in files), "starting the control plane", self.check)

    def start_workers(self, names: tuple[str, ...], *, allow_host: str) -> None:
        """Workers whose guests may reach ``allow_host`` on loopback; returns when all have joined."""
        token = self.command("join-token", "create", "--uses", str(len(names)))["token"]
        token_file = self.directory / "join-token"
        token_file.touch(mode=0o600)
        token_file.write_text(token)
        for name in names:
            self.start(
                name,
                *("worker", "--name", name, "--slots", "1"),
                *("--state-dir", str(self.directory / name)),
                *("--ticket-file", str(self.directory / "ticket")),
                *("--join-token-file", str(token_file)),
                *("--allow-host", allow_host, "--allow-network", "127.0.0.0/8"),
            )
        until(lambda: self.command("status")["connected"] == len(names), "joining the workers", self.check)

    def check(self) -> None:
        """Raises ``ClusterFailed`` with the end of its log if a process ended that should run."""
        for name, process in self.processes.items():
            if name not in self.expected_dead and process.poll() is not None:
                log = (self.directory / f"{name}.log").read_text(errors="replace").strip()
                last = log.splitlines()[-1] if log else "it printed nothing"
                raise ClusterFailed(f"{name} ended with code {process.returncode}: {last}")

    def kill(self, name: str) -> None:
        """``SIGKILL``: no goodbye, no clean-up, nothing flushed."""
        self.expected_dead.add(name)
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait(timeout=10)

    def show_logs(self, show: Callable[[str], object], lines: int = 8) -> None:
        """Shows the last lines of each process's log: for somebody who has to find out what went wrong."""
        for name in self.processes:
            last = (self.directory / f"{name}.log").read_text(errors="replace").splitlines()[-lines:]
            show("\n".join([f"--- {name}", *last]))

    def close(self) -> None:
        """Ends what still runs: workers first, then the control plane."""
        running = [process for process in reversed(self.processes.values()) if process.poll() is None]
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=10)

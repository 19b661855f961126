"""A deployment of one option, as the acceptance suite uses it: whatever its parts are made of."""

from __future__ import annotations

import json
import signal
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from mvm_ci.client.waiting import ENDED
from mvm_ci.testing.cluster import Cluster, ClusterFailed, Process

PATIENCE_S: Final = 90.0
LEASE: Final = "3s"
_LOOK_S: Final = 0.05


class Deployment(ABC):
    """``parts``: what can be killed and started again. ``host``: where guests reach a server of the test."""

    name: str
    option: int
    parts: tuple[str, ...]
    host: str
    commands: Cluster
    """Where ``mvm-ci`` is run, with the credentials of this deployment."""

    @abstractmethod
    def kill(self, part: str) -> None:
        """``kill -9``; returns when it is gone."""

    @abstractmethod
    def stop(self, part: str) -> None:
        """Asks it to end in good order; returns when it has."""

    @abstractmethod
    def start(self, part: str) -> None:
        """Starts it again, on its state."""

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """One request to the API. Raises ``OSError`` while nobody answers."""
        return self.commands.ask(method, path, body)

    def submit(self, module: str, *inputs: object, **fields: object) -> list[str]:
        """Jobs with these inputs."""
        spec = {"module": module, "allow_hosts": [f"{self.host}:*"], **fields}
        answer = self.ask("POST", "/v1/jobs", {"jobs": [{**spec, "input": given} for given in inputs]})
        return [job["id"] for job in answer["jobs"]]

    def job(self, job: str) -> Any:
        """A job as it is."""
        return self.ask("GET", f"/v1/jobs/{job}")

    def ended(self, job: str) -> Any:
        """The job once it has ended."""
        self.until(lambda: self.job(job)["state"] in ENDED, f"{job} ended")
        return self.job(job)

    def result(self, job: str) -> Any:
        """The result of a job that must complete."""
        ended = self.ended(job)
        if ended["state"] != "completed":
            raise ClusterFailed(f"{job} did not complete: {ended}")
        return self.ask("GET", f"/v1/jobs/{job}/result")

    def journal(self, job: str) -> list[str]:
        """The kinds of the durable entries of a job."""
        return [entry["kind"] for entry in self.ask("GET", f"/v1/jobs/{job}/journal")]

    def workers(self) -> list[Any]:
        """Those that are connected, engines not counted."""
        listed = self.ask("GET", "/v1/workers")["workers"]
        return [one for one in listed if one["connected"] and one["role"] != "engine"]

    def until(self, fact: Callable[[], object], what: str) -> None:
        """Waits for a fact; while nobody answers it is not one."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                if fact():
                    return
            except (OSError, urllib.error.URLError):
                pass
            if time.monotonic() > deadline:
                raise ClusterFailed(f"not within {PATIENCE_S:g} s: {what}{self.logs()}")
            time.sleep(_LOOK_S)

    @abstractmethod
    def logs(self) -> str:
        """What every part said, for the message of a test that failed."""


class Processes(Deployment):
    """Processes on this machine, on loopback. ``plane_flags``, ``worker_flags``: after those of all tests."""

    kind = "processes"
    host = "127.0.0.1"
    plane_flags: tuple[str, ...] = ()
    worker_flags: tuple[str, ...] = ()

    def __init__(self, directory: Path, option: int, workers: int) -> None:
        self.option = option
        self.name = f"option {option}, {self.kind}"
        self.commands = Cluster(directory, lease=LEASE, option=option)
        self._network = ("--allow-host", "127.0.0.1:*", "--allow-network", "127.0.0.0/8")
        self._address = "127.0.0.1:0"
        names = [f"worker-{number}" for number in range(1, workers + 1)]
        engine = ("engine",) if option == 3 else ()
        self.parts = ("control-plane", *engine, names[0])
        for part in ("control-plane", *engine):
            self.start(part)
        token = self.ask("POST", "/v1/join-tokens", {"uses": workers})["token"]
        for name in names:
            self._worker(name, token)
        self.until(lambda: len(self.workers()) == workers, "all workers are connected")

    def kill(self, part: str) -> None:
        self._process(part).end(signal.SIGKILL)

    def stop(self, part: str) -> None:
        process = self._process(part)
        code = process.end()
        if code:
            raise ClusterFailed(f"{part} ended with {code}: {process.stderr}")

    def start(self, part: str) -> None:
        cluster = self.commands
        if part == "control-plane":
            hosts_engine = self.option in {2, 4}
            network = self._network if hosts_engine else ()
            cluster.control_plane("--bind", self._address, *network, *self.plane_flags)
            known = json.loads(cluster.credentials.read_text())
            self._address = known["url"].removeprefix("http://")
        elif part == "engine":
            cluster.engine(*self._network)
        else:
            self._worker(part, "unused: it has joined")
            # Its earlier process may still be shown as connected.
            self.until(lambda: "session_open" in self._process(part).stderr, f"{part} is connected")

    def logs(self) -> str:
        return self.commands.logs()

    def close(self) -> None:
        """Ends everything."""
        self.commands.close()

    def _worker(self, name: str, token: str) -> None:
        more: Sequence[str] = self._network if self.option == 1 else ()
        self.commands.worker_process(name, *more, *self.worker_flags, token=token)

    def _process(self, part: str) -> Process:
        return next(one for one in reversed(self.commands.processes) if one.name == part)

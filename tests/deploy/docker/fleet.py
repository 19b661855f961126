"""A cluster that ``scripts/start-cluster.sh`` started, and what a test does to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from mvm_ci.client import Client
from mvm_ci.domain.errors import Unavailable
from mvm_ci.wire import api
from tests.deploy.docker import daemon

ROOT: Final = Path(__file__).resolve().parents[3]
SCRIPT: Final = ROOT / "scripts" / "start-cluster.sh"
SCRIPT_S: Final = 500
WAIT_S: Final = 90.0
BASE: Final = {"PYTHON_IMAGE": "mvm-ci-base:bookworm", "BUILDER_IMAGE": "mvm-ci-builder:bookworm"}


@dataclass
class Fleet:
    """``project``: the name that Compose knows it by; ``directory``: the home of whoever starts it.

    ``said``: what the start printed; ``module``: the digest of the one that does what its input says.
    """

    host: str
    project: str
    option: str
    directory: Path
    port: int
    settings: dict[str, str] = field(default_factory=dict)
    said: str = ""
    module: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """As on a machine where nobody set anything up, but for the way to the package index."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(("PIP_INDEX", "PIP_EXTRA")) or name in {"PATH", "LANG"}
        }
        return {
            **kept,
            **BASE,
            "HOME": str(self.directory),
            "DOCKER_HOST": self.host,
            "COMPOSE_PROJECT_NAME": self.project,
            "API_PORT": str(self.port),
            **self.settings,
        }

    @property
    def credentials(self) -> Path:
        return self.directory / ".local/state/mvm-ci/clusters" / self.project / "credentials.json"

    def popen(self, *args: str) -> subprocess.Popen[str]:
        """The script, in a process group of its own."""
        return subprocess.Popen(
            [SCRIPT, *args],
            env=self.environment,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def script(self, *args: str) -> subprocess.CompletedProcess[str]:
        """The script, to its end."""
        with self.popen(*args) as process:
            try:
                out, errors = process.communicate(timeout=SCRIPT_S)
            except BaseException:
                os.killpg(process.pid, signal.SIGTERM)
                raise
        return subprocess.CompletedProcess(args, process.returncode, out, errors)

    def start(self, workers: int) -> str:
        """What a start that must succeed printed."""
        done = self.script("--option", self.option, "--workers", str(workers))
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"
        return done.stdout

    def docker(self, *args: str) -> str:
        """What ``docker`` printed, without the end of its line; it must succeed."""
        return daemon.docker(self.host, *args).removesuffix("\n")

    def inspect(self, container: str) -> Any:
        """All that the daemon knows of it."""
        (found,) = json.loads(self.docker("inspect", container))
        return found

    def containers(self, service: str) -> list[str]:
        """The ids (12 digits, the containers' host names) of those that run."""
        return self._labelled("ps", "--filter", f"label=com.docker.compose.service={service}").split()

    def left(self) -> list[str]:
        """What there is of it: containers, networks, volumes."""
        found = [
            self._labelled("ps", "--all"),
            self._labelled("network", "ls"),
            self._labelled("volume", "ls"),
        ]
        return " ".join(found).split()

    def gateway(self) -> str:
        """This machine's address in the network of the containers."""
        template = "{{(index .IPAM.Config 0).Gateway}}"
        return self.docker("network", "inspect", f"{self.project}_default", "--format", template)

    def client(self) -> Client:
        """Of the API, by the credentials that the script wrote."""
        found = json.loads(self.credentials.read_text())
        return Client(found["url"], found["token"])

    def until(self, fact: Callable[[], bool], what: str, seconds: float = WAIT_S) -> None:
        """Waits for a fact; time decides only that it never came true."""
        deadline = time.monotonic() + seconds
        while not _true(fact):
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds:g} s: {what}{self.logs()}")
            time.sleep(0.1)

    def logs(self) -> str:
        """What every container said at last."""
        ids = self._labelled("ps", "--all").split()
        return "".join(f"\n--- {one}\n{self._log(one)}" for one in ids)

    def _log(self, container: str) -> str:
        done = subprocess.run(
            ["docker", "--host", self.host, "logs", "--tail", "30", container],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout

    def _labelled(self, *command: str) -> str:
        return self.docker(
            *command, "--quiet", "--filter", f"label=com.docker.compose.project={self.project}"
        ).replace("\n", " ")


def _true(fact: Callable[[], bool]) -> bool:
    try:
        return fact()
    except Unavailable:
        return False  # a control plane that restarts


def doing(module: str, host: str, *steps: Sequence[object], **fields: Any) -> api.SubmitJob:
    """A job that does these steps, and may call ``host``."""
    encoded = msgspec.Raw(msgspec.json.encode(steps))
    return api.SubmitJob(module=module, input=encoded, allow_hosts=(f"{host}:*",), **fields)

"""Clusters of real processes to be killed, frozen and cut off, and a web server that counts."""

from __future__ import annotations

import contextlib
import http.server
import json
import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from mvm_ci.client.waiting import ENDED
from mvm_ci.testing.cluster import Cluster, Process, build_module, cluster
from mvm_ci.testing.loopback import serving

STEPS: Final = Path(__file__).parent / "guest" / "steps.py"
HOOKS: Final = Path(__file__).parent / "hooks.py"
NETWORK: Final = ("--allow-host", "127.0.0.1:*", "--allow-network", "127.0.0.0/8")


@dataclass
class Web:
    """Answers ``/gate/…`` once the gate is open, all else at once; ``/large/…`` with many bytes.

    Every request is counted when it arrives: ``posts`` by path (``bodies``: the last one), ``repeatable``
    (GET and PUT) by path and idempotency key.
    """

    url: str = ""
    gate: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    posts: Counter[str] = field(default_factory=Counter)
    bodies: dict[str, bytes] = field(default_factory=dict)
    repeatable: Counter[tuple[str, str]] = field(default_factory=Counter)

    def at_the_gate(self) -> None:
        """Returns when one more request waits at the gate."""
        assert self.arrived.acquire(timeout=60)


@pytest.fixture
def web() -> Iterator[Web]:
    with counting_web("127.0.0.1") as made:
        yield made


@contextlib.contextmanager
def counting_web(host: str) -> Iterator[Web]:
    """A web server on ``host`` until the block ends."""
    made = Web()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.repeatable[self.path, self.headers.get("idempotency-key", "")] += 1
            self.answer()

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.do_GET()

        def do_POST(self) -> None:
            made.bodies[self.path] = self.rfile.read(int(self.headers["content-length"]))
            made.posts[self.path] += 1
            self.answer()

        def answer(self) -> None:
            if self.path.startswith("/gate"):
                made.arrived.release()
                made.gate.wait(timeout=60)
            try:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"L" * 200_000 if self.path.startswith("/large") else b"ok")
            except OSError:
                self.close_connection = True  # whoever asked was killed

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer((host, 0), Handler)
    with serving(server):
        made.url = f"http://{host}:{server.server_port}"
        try:
            yield made
        finally:
            made.gate.set()


@dataclass
class Rig:
    """A cluster with a control plane, spoken to over HTTP."""

    cluster: Cluster
    module: str = ""
    plane: Process | None = None
    address: str = ""

    def start(self, *, lease: str) -> None:
        """The control plane, for the first time."""
        self.cluster.lease = lease
        self.plane = self.cluster.control_plane()
        self.address = json.loads(self.cluster.credentials.read_text())["url"].removeprefix("http://")

    def start_again(self) -> None:
        """The control plane, on its state."""
        self.plane = self.cluster.control_plane("--bind", self.address)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """One request to the API."""
        return self.cluster.ask(method, path, body)

    def worker(self, name: str, *more: str, environ: Mapping[str, str] | None = None) -> Process:
        """A worker that is connected."""
        token = self.ask("POST", "/v1/join-tokens", {})["token"]
        process = self.started(name, name, {"MVM_CI_JOIN_TOKEN": token, **(environ or {})}, *more)
        self.cluster.until(lambda: "session_open" in process.stderr, f"{name} is connected")
        return process

    def started(self, name: str, directory: str, environ: Mapping[str, str], *more: str) -> Process:
        """A worker on this state directory; it may or may not connect."""
        return self.cluster.start(
            "worker",
            *("--name", name, "--slots", "1", "--state-dir", str(self.cluster.directory / directory)),
            *("--ticket-file", str(self.cluster.ticket), "--p2p-bind", "127.0.0.1:0", "--grace", "2s"),
            *(*NETWORK, *more),
            environ=environ,
            name=name,
        )

    def submit(self, *jobs: Sequence[tuple[str, object]], **fields: Any) -> list[str]:
        """Jobs that do these steps."""
        spec = {"module": self.module, "allow_hosts": ["127.0.0.1:*"], **fields}
        answer = self.ask("POST", "/v1/jobs", {"jobs": [{**spec, "input": steps} for steps in jobs]})
        return [job["id"] for job in answer["jobs"]]

    def job(self, job: str) -> Any:
        """A job as it is."""
        return self.ask("GET", f"/v1/jobs/{job}")

    def journal(self, job: str) -> list[tuple[str, int]]:
        """The kind of each durable entry of a job, and the epoch of the placement that wrote it."""
        entries = self.ask("GET", f"/v1/jobs/{job}/journal")
        return [(entry["kind"], entry["epoch"]) for entry in entries]

    def hooked(self) -> tuple[Path, dict[str, str]]:
        """A directory whose files decide what befalls a process (``hooks``), and the process's
        environment.
        """
        directory = self.cluster.directory / "hooks"
        directory.mkdir(exist_ok=True)
        shutil.copy(HOOKS, directory / "sitecustomize.py")
        return directory, {"PYTHONPATH": str(directory)}

    def ended(self, job: str) -> Any:
        """The job once it has ended."""
        self.cluster.until(lambda: self.job(job)["state"] in ENDED, f"{job} ended")
        return self.job(job)


@pytest.fixture(scope="session")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module that does what its input says."""
    return build_module(STEPS, tmp_path_factory.mktemp("modules"))


@pytest.fixture
def rig(tmp_path: Path, steps: Path, request: pytest.FixtureRequest) -> Iterator[Rig]:
    """A control plane with the lease that a test asks for (``indirect``), or one of 3 seconds."""
    with cluster(tmp_path) as made:
        rig = Rig(made)
        rig.start(lease=getattr(request, "param", "3s"))
        rig.module = made.ok("module", "push", str(steps))
        yield rig

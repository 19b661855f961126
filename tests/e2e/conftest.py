"""Clusters of real processes, and the modules that they run."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from guest.build_c import build_c
from mvm_ci.testing.cluster import ROOT, Cluster, build_module, cluster
from mvm_ci.testing.loopback import serving

GUESTS = Path(__file__).parent / "guest"

NETWORK = ("--allow-host", "127.0.0.1:*", "--allow-network", "127.0.0.0/8")


def asked(*steps: tuple[str, object]) -> str:
    return json.dumps(steps)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster in which nothing runs."""
    with cluster(tmp_path) as made:
        yield made


@pytest.fixture
def control(empty: Cluster) -> Cluster:
    """A cluster with a control plane."""
    empty.control_plane()
    return empty


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane and a worker for tests that break nothing."""
    with cluster(tmp_path_factory.mktemp("shared")) as made:
        made.control_plane()
        made.worker("one", "--slots", "2", *NETWORK)
        yield made


@pytest.fixture(scope="session")
def noop() -> str:
    """A module in C that does nothing."""
    return str(build_c(ROOT / "guest" / "examples" / "noop.c"))


@pytest.fixture(scope="session")
def steps(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A module in Python that does what its input says."""
    return str(build_module(GUESTS / "steps.py", tmp_path_factory.mktemp("modules")))


@dataclass
class Gate:
    """A web server whose answers wait until the gate is opened."""

    url: str = ""
    opened: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.arrived.release()
            made.opened.wait(timeout=60)
            try:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"through the gate")
            except OSError:
                self.close_connection = True  # whoever asked was killed

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with serving(server) as address:
        made.url = f"http://{address}/"
        try:
            yield made
        finally:
            made.opened.set()

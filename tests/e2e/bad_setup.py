"""A set-up with something wrong in it: what its processes say, and whether work goes on once it is mended."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from mvm_ci.client.waiting import ENDED
from mvm_ci.testing.cluster import Cluster, Process, build_module, cluster
from tests.faults.conftest import NETWORK, STEPS, Web, counting_web

LEASE: Final = "3s"
SOON_S: Final = 30.0
"""For a message to come, or for work to go on: far more than it takes."""


@dataclass
class Setup:
    """A cluster, and a web server that counts what its jobs do."""

    cluster: Cluster
    web: Web
    built: Path
    module: str = ""

    @property
    def directory(self) -> Path:
        return self.cluster.directory

    def plane(self, *more: str, option: int = 1) -> Process:
        """A control plane, at first or again on its state; with an engine in options 2 and 4."""
        self.cluster.option = option
        known = self.cluster.credentials
        again = ("--bind", self.api.removeprefix("http://")) if known.exists() else ()
        hosts = NETWORK if option in {2, 4} else ()
        process = self.cluster.control_plane(*again, *hosts, *more)
        self.module = self.cluster.ok("module", "push", str(self.built))
        return process

    @property
    def api(self) -> str:
        url = json.loads(self.cluster.credentials.read_text())["url"]
        assert isinstance(url, str)
        return url

    def token(self, *more: str) -> dict[str, str]:
        """The environment of a process that may join."""
        return {"MVM_CI_JOIN_TOKEN": self.cluster.ok("join-token", "create", *more)}

    def peer(self, kind: str, name: str, *more: str, environ: Mapping[str, str], **others: Any) -> Process:
        """A worker or an engine, which may or may not get anywhere; later flags stand in place of these."""
        network = NETWORK if kind == "engine" or "--engine" not in more else ()
        return self.cluster.start(
            kind,
            *("--name", name, "--slots", "2", "--state-dir", str(self.directory / name), "--grace", "1s"),
            *("--ticket-file", str(self.cluster.ticket), "--p2p-bind", "127.0.0.1:0", *network, *more),
            environ=environ,
            name=name,
            **others,
        )

    def says(self, process: Process, *words: str) -> None:
        """Waits for a line with all these words; the process must not end meanwhile."""

        def said() -> bool:
            assert process.popen.poll() is None, process.stderr
            return any(all(word in line for word in words) for line in process.stderr.splitlines())

        self.cluster.until(said, f"{process.name} says {words}", SOON_S)

    def submit(self, name: str, *steps: tuple[str, object], more: Sequence[str] = ()) -> str:
        """A job that does these steps, then makes a request that must come once."""
        given = json.dumps([*steps, ("post", f"{self.web.url}/{name}")])
        allowed = ("--allow-host", "127.0.0.1:*")
        return self.cluster.ok("job", "submit", self.module, "--input", given, *allowed, *more)

    def completes(self, *jobs: str) -> None:
        """Each of them does, in its first attempt, and every request came once."""
        for job in jobs:
            self.cluster.until(lambda job=job: self.cluster.state(job) in ENDED, f"{job} ended", 60)  # type: ignore[misc]
            shown = self.cluster.json("job", "show", job)
            assert (shown["state"], shown.get("attempt", 1)) == ("completed", 1), shown
        assert set(self.web.posts.values()) == {1}, self.web.posts

    def alive(self, *processes: Process) -> None:
        """None of them was restarted, and none shows a traceback."""
        for process in processes:
            assert process.popen.poll() is None, process.stderr
            assert "Traceback" not in process.stderr, process.stderr


def ended(process: Process, code: int, *words: str) -> None:
    """It ended with ``code``, and its last line says why."""
    assert process.wait(30) == code, process.stderr
    last = process.stderr.splitlines()[-1]
    assert last.startswith("error: "), process.stderr
    assert all(word in last for word in words), last
    assert "Traceback" not in process.stderr


class TcpForwarder:
    """Passes bytes on between who comes to ``address`` and ``target``, unless it is cut: then none get
    through, nobody is told, and what is on its way arrives when it is healed, as with a network that is gone
    for a while.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._passes = threading.Event()
        self._passes.set()
        self._sockets: list[socket.socket] = []
        self._entry = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._entry.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._passes.clear()

    def heal(self) -> None:
        self._passes.set()

    def close(self) -> None:
        self._passes.set()
        for one in (self._entry, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._entry.accept()
                self._passes.wait()
                try:
                    far = socket.create_connection(self._target, timeout=10)
                except OSError:
                    near.close()
                    continue
                far.settimeout(None)
                self._sockets += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                self._passes.wait()
                sink.sendall(data)
        self._passes.wait()
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module that does what its input says."""
    return build_module(STEPS, tmp_path_factory.mktemp("modules"))


@pytest.fixture
def setup(tmp_path: Path, built: Path) -> Iterator[Setup]:
    """Nothing runs yet."""
    with cluster(tmp_path) as made, counting_web("127.0.0.1") as web:
        made.lease = LEASE
        yield Setup(made, web, built)

"""Real processes on this machine: free loopback ports, state of their own, gone at the end."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[3]
SOURCE: Final = ROOT / "src"
START_S: Final = 60.0
COMMAND_S: Final = 120.0
ASK_S: Final = 60.0
_LOOK_S: Final = 0.02


class ClusterFailed(Exception):
    """A fact that did not come true, or a process that ended by itself; the text says what it said."""


@dataclass
class Process:
    """One running ``mvm-ci``; its output is gathered as it comes."""

    name: str
    popen: subprocess.Popen[str]
    out: queue.Queue[str | None] = field(default_factory=queue.Queue)
    lines: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    readers: list[threading.Thread] = field(default_factory=list)

    @property
    def stderr(self) -> str:
        return "".join(self.errors)

    def read(self) -> None:
        """Starts to gather."""
        for pump in (self._pump_out, self._pump_err):
            thread = threading.Thread(target=pump, daemon=True)
            thread.start()
            self.readers.append(thread)

    def line(self, beginning: str, seconds: float = START_S) -> str:
        """The next line of stdout that begins so; fails with what was said if the process ends before."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self.out.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise ClusterFailed(
                    f"{self.name} did not print {beginning!r}; it said: {self.stderr}"
                ) from None
            if line is None:
                raise ClusterFailed(f"{self.name} ended with {self.popen.wait()}; it said: {self.stderr}")
            if line.startswith(beginning):
                return line.removeprefix(beginning).strip()

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = 60.0) -> int:
        """Sends a signal to this process, by its id, and returns its exit code."""
        with contextlib.suppress(ProcessLookupError):
            self.popen.send_signal(number)
        return self.wait(seconds)

    def wait(self, seconds: float = 60.0) -> int:
        """The exit code, once it has ended and all its output is here."""
        code = self.popen.wait(timeout=seconds)
        for reader in self.readers:
            reader.join(timeout=10)
        return code

    def _pump_out(self) -> None:
        assert self.popen.stdout is not None
        with self.popen.stdout as stdout:
            for line in stdout:
                self.lines.append(line)
                self.out.put(line)
        self.out.put(None)

    def _pump_err(self) -> None:
        assert self.popen.stderr is not None
        with self.popen.stderr as stderr:
            self.errors.extend(iter(stderr.readline, ""))


@dataclass
class Cluster:
    """A directory with the state of a control plane and workers, and their processes."""

    directory: Path
    processes: list[Process] = field(default_factory=list)
    lease: str = "5s"
    option: int = 1
    """Where the engine is: 1: in each worker; 2: in the control plane, reached by P2P; 4: there, reached by
    TCP; 3: in a process of its own, reached by TCP.
    """
    engine_url: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """No settings of whoever runs the tests; caches are shared, since building takes seconds."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MVM_CI_", "XDG_"))}
        for name in ("CONTROL_PLANE_TICKET", "FLAWLESS_URL"):
            kept.pop(name, None)
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return kept | {
            "HOME": str(self.directory),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "MVM_CI_BUILD_CACHE": str(home / "mvm-ci" / "build"),
            "MVM_CI_MODULE_CACHE": str(home / "mvm-ci" / "compiled"),
            "MVM_CI_CREDENTIALS": str(self.credentials),
        }

    @property
    def credentials(self) -> Path:
        return self.directory / "credentials.json"

    @property
    def ticket(self) -> Path:
        return self.directory / "ticket"

    def run(
        self, *args: str, stdin: str = "", environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs ``mvm-ci`` to its end. No command may ever show a traceback of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "mvm_ci", *args],
            env=self.environment | dict(environ or {}),
            cwd=self.directory,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        assert str(SOURCE) not in done.stderr, done.stderr
        return done

    def ok(self, *args: str, stdin: str = "") -> str:
        """What a command that must succeed printed, without the end of its line."""
        done = self.run(*args, stdin=stdin)
        if done.returncode:
            raise ClusterFailed(f"{args}: {done.returncode}: {done.stderr}{self.logs()}")
        return done.stdout.removesuffix("\n")

    def json(self, *args: str) -> Any:  # noqa: ANN401 (JSON)
        """The same as JSON."""
        return json.loads(self.ok(*args, "--json"))

    def request(self, method: str, path: str, data: bytes | None = None) -> urllib.request.Request:
        """A request to the API, with the credentials and JSON ``data``."""
        known = json.loads(self.credentials.read_text())
        headers = {"authorization": f"Bearer {known['token']}", "content-type": "application/json"}
        return urllib.request.Request(known["url"] + path, data, headers, method=method)  # noqa: S310 (ours)

    def ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 (JSON)
        """Its answer: JSON, or the list of its lines. Raises ``OSError`` while nobody answers."""
        request = self.request(method, path, None if body is None else json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=ASK_S) as answer:  # noqa: S310 (ours)
            lines = answer.read().splitlines()
            if answer.headers["content-type"] == "application/x-ndjson":
                return [json.loads(line) for line in lines]
            return json.loads(b"".join(lines))

    def journal(self, job: str) -> list[dict[str, Any]]:
        """The entries of a job's journal."""
        return [json.loads(line) for line in self.ok("journal", "show", job, "--json").splitlines()]

    def start(
        self,
        *args: str,
        environ: Mapping[str, str] | None = None,
        name: str = "",
        program: Sequence[str] = ("-m", "mvm_ci"),
    ) -> Process:
        """Starts ``mvm-ci``, or a script that stands for it, and lets it run."""
        popen = subprocess.Popen(
            [sys.executable, *program, *args],
            env=self.environment | dict(environ or {}),
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        process = Process(name or args[0], popen)
        process.read()
        self.processes.append(process)
        return process

    def control_plane(self, *more: str) -> Process:
        """A control plane that is ready."""
        process = self.start(
            "control-plane",
            *("--bind", "127.0.0.1:0", "--p2p-bind", "127.0.0.1:0", "--lease", self.lease),
            *("--state-dir", str(self.directory / "control-plane"), "--ticket-file", str(self.ticket)),
            *("--credentials-file", str(self.credentials), *self._embedded(), *more),
        )
        process.line("ticket: ")
        if self.option == 4:
            self.engine_url = process.line("engine: ")
        return process

    def engine(self, *more: str, environ: Mapping[str, str] | None = None) -> Process:
        """An engine in a process of its own, which serves workers; as at its last start, where that was."""
        process = self.start(
            "engine",
            *("--bind", self.engine_url.removeprefix("http://") or "127.0.0.1:0", "--grace", "2s"),
            *("--state-dir", str(self.directory / "engine"), "--ticket-file", str(self.ticket)),
            *("--slots", "2", "--p2p-bind", "127.0.0.1:0", *more),
            environ={"MVM_CI_JOIN_TOKEN": self.ok("join-token", "create"), **(environ or {})},
        )
        self.engine_url = process.line("engine: ")
        return process

    @property
    def engine_token(self) -> Path:
        """The file with the token of the engine that is reached by TCP."""
        state = self.directory / "engine" if self.option == 3 else self.directory / "control-plane" / "engine"
        return state / "engine-token"

    def _embedded(self) -> tuple[str, ...]:
        if self.option not in {2, 4}:
            return ()
        bind = self.engine_url.removeprefix("http://") or "127.0.0.1:0"
        listens = ("--engine-bind", bind) if self.option == 4 else ()
        return ("--engine", "embedded", "--slots", "2", *listens)

    def _reaches(self) -> tuple[str, ...]:
        if self.option == 1:
            return ()
        if self.option == 2:
            return ("--engine", "p2p")
        return ("--engine", self.engine_url, "--engine-token-file", str(self.engine_token))

    def worker(self, name: str, *more: str, token: str | None = None) -> Process:
        """A worker that is connected."""
        secret = token or self.ok("join-token", "create")
        process = self.worker_process(name, *more, token=secret)
        self.connected(name, process)
        return process

    def workers(self, names: Sequence[str], *more: str) -> None:
        """Workers that are connected; they start side by side."""
        token = self.ok("join-token", "create", "--uses", str(len(names)))
        started = [self.worker_process(name, *more, token=token) for name in names]
        for name, process in zip(names, started, strict=True):
            self.connected(name, process)

    def worker_process(
        self, name: str, *more: str, token: str, environ: Mapping[str, str] | None = None
    ) -> Process:
        """A worker that may or may not connect."""
        return self.start(
            "worker",
            *("--name", name, "--slots", "1", "--state-dir", str(self.directory / name)),
            *("--ticket-file", str(self.ticket), "--p2p-bind", "127.0.0.1:0", "--grace", "2s"),
            *(*self._reaches(), *more),
            environ={"MVM_CI_JOIN_TOKEN": token, **(environ or {})},
            name=name,
        )

    def connected(self, name: str, process: Process) -> None:
        """Returns when the worker has joined."""

        def joined() -> bool:
            if process.popen.poll() is not None:
                raise ClusterFailed(f"{name} ended with {process.wait()}: {process.stderr}")
            return any(
                one["name"] == name and one["connected"] for one in self.json("worker", "list")["workers"]
            )

        self.until(joined, f"{name} connected")

    def until(self, fact: Callable[[], bool], what: str, seconds: float = START_S) -> None:
        """Waits for a fact about other processes; time decides only that it never came true."""
        deadline = time.monotonic() + seconds
        while not fact():
            if time.monotonic() > deadline:
                raise ClusterFailed(f"not within {seconds:g} s: {what}{self.logs()}")
            time.sleep(_LOOK_S)

    def state(self, job: str) -> str:
        """A job's state."""
        state = self.json("job", "show", job)["state"]
        assert isinstance(state, str)
        return state

    def check(self, *dead: str) -> None:
        """Raises ``ClusterFailed`` if a process ended that should run; those in ``dead`` may have."""
        for process in self.processes:
            if process.name not in dead and process.popen.poll() is not None:
                raise ClusterFailed(f"{process.name} ended with {process.wait()}: {process.stderr[-4000:]}")

    def logs(self) -> str:
        """What every process said, for the message of a test that failed."""
        return "".join(f"\n--- {process.name}\n{process.stderr[-4000:]}" for process in self.processes)

    def close(self) -> None:
        """Ends what still runs, each by its id: first whoever would wait for what it is connected to."""
        rank = {"engine": 1, "control-plane": 2}
        for process in sorted(self.processes, key=lambda one: rank.get(one.name, 0)):
            try:
                process.end(seconds=20)
            except subprocess.TimeoutExpired:
                process.end(signal.SIGKILL)


@contextlib.contextmanager
def cluster(directory: Path) -> Iterator[Cluster]:
    """A cluster without processes; whatever is started ends with it."""
    made = Cluster(directory)
    try:
        yield made
    finally:
        made.close()


def build_module(source: Path, directory: Path) -> Path:
    """The module of a Python job, built into ``directory`` under the source's name."""
    target = directory / f"{source.stem}.wasm"
    with cluster(directory) as made:
        made.ok("build", str(source), "-o", str(target))
    return target

"""Real processes and who supervises them: what they say of themselves, and when they fall silent."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mvm_ci.adapters.service_manager import VARIABLES
from mvm_ci.testing.cluster import Cluster, Process
from tests.e2e.manager import EVERY_S, Manager, supervised_control_plane

JOB = "def run(input):\n    return input\n"
TELLS = """
import json, os, pathlib, sys
told = pathlib.Path(__file__).parent / f"{os.getpid()}.json"
told.write_text(json.dumps([sys.orig_argv, dict(os.environ)]))
"""
"""As ``sitecustomize.py``: each Python process writes down how it was started."""


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.socket.close()


def supervised_worker(cluster: Cluster, manager: Manager, token: str, **more: str) -> Process:
    return cluster.start(
        "worker",
        *("--name", "one", "--slots", "1", "--state-dir", str(cluster.directory / "one")),
        *("--ticket-file", str(cluster.ticket), "--p2p-bind", "127.0.0.1:0", "--grace", "2s"),
        environ={**manager.environ, "MVM_CI_JOIN_TOKEN": token, **more},
        name="one",
    )


def status(words: str) -> Callable[[dict[str, str]], bool]:
    return lambda fields: words in fields.get("STATUS", "")


def test_a_control_plane_from_start_to_end(empty: Cluster, manager: Manager) -> None:
    plane = supervised_control_plane(empty, manager)
    manager.until(lambda fields: "READY" in fields, "it is ready")
    # What it is ready for works at once.
    assert empty.json("status")["workers"] == 0
    ready = manager.said[manager.index("READY")]
    url = json.loads(empty.credentials.read_text())["url"]
    assert ready["STATUS"] == f"serving {url}: 0 workers, 0 jobs at them"
    manager.pings(5)  # it is idle
    plane.popen.send_signal(signal.SIGSTOP)
    try:
        assert manager.silent()
    finally:
        plane.popen.send_signal(signal.SIGCONT)
    manager.pings(2)
    assert plane.end() == 0, plane.stderr
    manager.listen()
    assert manager.index("READY") < manager.index("WATCHDOG") < manager.index("STOPPING")
    stopping = manager.said[manager.index("STOPPING")]
    assert int(stopping["EXTEND_TIMEOUT_USEC"]) == 60_000_000


def test_a_worker_is_ready_with_its_session_and_lives_without_it(empty: Cluster, manager: Manager) -> None:
    plane = empty.control_plane()
    address = json.loads(empty.credentials.read_text())["url"].removeprefix("http://")
    token = empty.ok("join-token", "create")
    plane.end(signal.SIGKILL)
    worker = supervised_worker(empty, manager, token)
    # Its runners are there, nobody answers: it starts for as long as it takes, and says why.
    manager.until(status("cut off"), "it says what it waits for")
    manager.pings(10)
    assert not any("READY" in fields for fields in manager.said)
    assert all("EXTEND_TIMEOUT_USEC" in fields for fields in manager.said if "WATCHDOG" in fields)
    plane = empty.control_plane("--bind", address)
    manager.until(lambda fields: "READY" in fields, "it is ready")
    assert "session_open" in worker.stderr
    assert [one["connected"] for one in empty.json("worker", "list")["workers"]] == [True]
    manager.until(lambda fields: "EXTEND_TIMEOUT_USEC" not in fields, "it has started")

    (empty.directory / "job.py").write_text(JOB)
    assert empty.ok("run", "job.py", "--input", "7") == "7"
    plane.end(signal.SIGKILL)
    manager.until(status("cut off"), "it is cut off")
    manager.pings(round(float(empty.lease.removesuffix("s")) / EVERY_S) + 5)  # for longer than its lease
    plane = empty.control_plane("--bind", address)
    manager.until(status("connected"), "it is connected again")

    worker.popen.send_signal(signal.SIGSTOP)
    try:
        assert manager.silent()
    finally:
        worker.popen.send_signal(signal.SIGCONT)
    manager.pings(2)
    assert worker.end() == 0, worker.stderr
    manager.listen()
    stopping = manager.said[manager.index("STOPPING")]
    assert "draining" in stopping["STATUS"]
    # Its grace, and what comes after it.
    assert int(stopping["EXTEND_TIMEOUT_USEC"]) == (2 + 10 + 10 + 2 + 10) * 1_000_000
    assert sum("READY" in fields for fields in manager.said) == 1


def test_no_process_that_runs_guests_can_speak_for_its_worker(empty: Cluster, manager: Manager) -> None:
    empty.control_plane()
    hooks = empty.directory / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(TELLS)
    cache = {"PYTHONPATH": str(hooks), "MVM_CI_MODULE_CACHE": str(empty.directory / "compiled")}
    worker = supervised_worker(empty, manager, empty.ok("join-token", "create"), **cache)
    manager.until(lambda fields: "READY" in fields, "it is ready")
    (empty.directory / "job.py").write_text(JOB)
    assert empty.ok("run", "job.py", "--input", "7") == "7"
    told = {file.stem: json.loads(file.read_text()) for file in hooks.glob("*.json")}
    own = told.pop(str(worker.popen.pid))
    assert manager.environ.items() <= own[1].items()
    for part in ("mvm_ci.engine.runner", "mvm_ci.adapters.wasm.compile_child"):
        environments = [environ for argv, environ in told.values() if part in argv]
        assert environments
        assert not any(name in environ for environ in environments for name in VARIABLES)


def test_an_engine_is_ready_with_its_session_and_drains(empty: Cluster, manager: Manager) -> None:
    empty.option = 3
    empty.control_plane()
    engine = empty.engine(environ=manager.environ)
    manager.until(lambda fields: "READY" in fields, "it is ready")
    assert "session_open" in engine.stderr
    manager.pings(5)
    assert engine.end() == 0, engine.stderr
    manager.listen()
    assert manager.index("READY") < manager.index("STOPPING")
    assert "draining" in manager.said[manager.index("STOPPING")]["STATUS"]


def test_a_worker_whose_engine_is_away_is_not_killed_for_it(empty: Cluster, manager: Manager) -> None:
    empty.option = 3
    empty.control_plane()
    engine = empty.engine()
    worker = empty.worker_process("one", token=empty.ok("join-token", "create"), environ=manager.environ)
    manager.until(lambda fields: "READY" in fields, "it is ready")
    engine.end(signal.SIGKILL)
    manager.until(status("the engine is not reached"), "it says so")
    manager.pings(5)
    empty.engine()
    manager.until(status("connected"), "the engine is back")
    assert worker.end() == 0, worker.stderr

"""Jobs from end to end, through real processes."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from mvm_ci.testing.cluster import ROOT, Cluster
from tests.e2e.conftest import NETWORK, Gate, asked


def test_a_job_in_c(shared: Cluster, noop: str) -> None:
    job = shared.ok("job", "submit", noop)
    assert shared.ok("job", "wait", job) == "completed"
    assert shared.ok("job", "show", job[:13]).splitlines()[0].split() == ["id", job]
    assert shared.run("job", "result", job).returncode == 0


def test_a_job_in_python_by_one_command(shared: Cluster) -> None:
    source = ROOT / "guest" / "examples" / "hello.py"
    done = shared.run("run", str(source), "--input", '{"name": "Ada"}')
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["greeting"] == "Hello, Ada!"
    assert "saying hello to Ada" in done.stderr


def test_modules_are_named(shared: Cluster, steps: str) -> None:
    digest = shared.ok("module", "push", steps)
    job = shared.ok("job", "submit", "steps", "--input", "[]")
    assert shared.json("job", "show", job)["module"] == digest
    again = shared.ok("job", "submit", digest[:8], "--input", "[]")
    assert shared.ok("job", "wait", again) == "completed"
    assert digest in [one["digest"] for one in shared.json("module", "list")["modules"]]


def test_a_failure_is_told_with_its_traceback(shared: Cluster, steps: str) -> None:
    done = shared.run("job", "submit", steps, "--wait", "--input", asked(("raise", "on purpose")))
    assert done.returncode == 1
    assert "ValueError: on purpose" in done.stderr
    assert done.stdout == ""


def test_logs_are_followed_while_the_job_runs(shared: Cluster, steps: str, gate: Gate) -> None:
    todo = asked(("print", "before the gate"), ("get", gate.url), ("print", "behind it"))
    job = shared.ok("job", "submit", steps, "--allow-host", "127.0.0.1:*", "--input", todo)
    follower = shared.start("job", "logs", "-f", job)
    # It is printed while the job still waits.
    assert follower.line("before the gate") == ""
    gate.opened.set()
    assert follower.wait() == 0
    assert "".join(follower.lines).splitlines() == ["before the gate", "behind it"]
    assert shared.ok("job", "result", job) == '["through the gate"]'


def test_jobs_that_wait_hold_no_slot(
    shared: Cluster, steps: str, noop: str, gate: Gate, tmp_path: Path
) -> None:
    module = shared.ok("module", "push", steps)
    waits = {"input": [["get", gate.url]], "allow_hosts": ["127.0.0.1:*"]}
    file = tmp_path / "jobs.ndjson"
    file.write_text("\n".join([json.dumps(waits)] * 30))
    jobs = shared.ok("job", "submit", module, "--from", str(file)).split()
    # The worker has two slots, and all thirty are at the gate.
    for _ in jobs:
        assert gate.arrived.acquire(timeout=60)
    # One of lower priority, which gets free slots only.
    assert shared.run("job", "submit", noop, "--priority", "1", "--wait").returncode == 0
    gate.opened.set()
    for job in jobs:
        assert shared.ok("job", "wait", job) == "completed"


def test_a_host_that_is_not_allowed_is_refused(shared: Cluster, steps: str, gate: Gate) -> None:
    done = shared.run("job", "submit", steps, "--wait", "--input", asked(("get", gate.url)))
    assert done.returncode == 1
    assert not gate.arrived.acquire(blocking=False)


def test_cancel_a_job_that_sleeps(shared: Cluster, steps: str) -> None:
    job = shared.ok("job", "submit", steps, "--input", asked(("sleep", 3600)))
    shared.until(lambda: shared.state(job) == "suspended", "the job is suspended")
    assert "cancelled" in shared.ok("job", "cancel", job)
    assert shared.run("job", "wait", job).returncode == 1
    assert shared.state(job) == "cancelled"
    assert shared.json("job", "cancel", job)["jobs"][0]["change"] == "already"


def test_cancel_a_job_that_runs(shared: Cluster, steps: str, gate: Gate) -> None:
    todo = asked(("get", gate.url))
    job = shared.ok("job", "submit", steps, "--allow-host", "127.0.0.1:*", "--input", todo)
    assert gate.arrived.acquire(timeout=60)
    assert shared.json("job", "cancel", job)["jobs"][0]["change"] == "stopping"
    assert shared.run("job", "wait", job).returncode == 1
    assert shared.state(job) == "cancelled"


def test_a_wait_has_an_end(shared: Cluster, steps: str) -> None:
    job = shared.ok("job", "submit", steps, "--input", asked(("sleep", 3600)))
    assert shared.run("job", "wait", job, "--timeout", "100ms").returncode == 124
    assert shared.run("job", "result", job).returncode == 6
    shared.ok("job", "cancel", job)


def test_ctrl_c_leaves_the_job_alone(shared: Cluster, steps: str, gate: Gate) -> None:
    todo = asked(("print", "started"), ("get", gate.url))
    runner = shared.start("run", steps, "--allow-host", "127.0.0.1:*", "--input", todo)
    assert gate.arrived.acquire(timeout=60)
    assert runner.end(signal.SIGINT) == 130
    assert "interrupted" in runner.stderr
    assert "Traceback" not in runner.stderr
    (job,) = [
        line.split()[1]
        for line in runner.stderr.splitlines()
        if line.startswith("job ") and "goes" not in line
    ]
    gate.opened.set()
    assert shared.ok("job", "wait", job) == "completed"


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["job", "submit", "ab" * 32], 5, "there is no module"),
        (["job", "show", "j0000000000000"], 5, "j0000000000000"),
        (["job", "submit", "NOOP", "--allow-host", "http://x/"], 2, "allow_hosts"),
        (["worker", "revoke", "nobody"], 5, "nobody"),
        (["run", "missing.py"], 2, "missing.py"),
        (["build", "missing.py"], 2, "missing.py"),
        (["module", "push", "text.wasm"], 2, "not a WebAssembly module"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    shared: Cluster, noop: str, args: list[str], code: int, words: str
) -> None:
    (shared.directory / "text.wasm").write_text("hello")
    done = shared.run(*(noop if arg == "NOOP" else arg for arg in args))
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr.splitlines()[-1]
    assert done.stderr.startswith("error: ")


def test_the_loss_of_a_worker_costs_nothing(control: Cluster, steps: str, gate: Gate) -> None:
    first = control.worker("first", *NETWORK)
    todo = asked(("print", "once"), ("get", gate.url), ("print", "twice"))
    job = control.ok("job", "submit", steps, "--allow-host", "127.0.0.1:*", "--input", todo)
    assert gate.arrived.acquire(timeout=60)
    follower = control.start("job", "logs", "-f", job)
    follower.line("once")
    control.worker("second", *NETWORK)
    first.end(signal.SIGKILL)
    assert gate.arrived.acquire(timeout=60)
    gate.opened.set()
    assert control.ok("job", "wait", job) == "completed"
    assert follower.wait() == 0
    # What was printed before the loss is there once.
    assert "".join(follower.lines).splitlines() == ["once", "twice"]
    shown = control.json("job", "show", job)
    assert (shown["epoch"], shown["losses"], shown["attempt"]) == (2, 1, 1)
    places = {entry["place"] for entry in control.journal(job)}
    assert places >= {"first", "second"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_control_plane_that_restarts_loses_nothing(
    control: Cluster, steps: str, gate: Gate, number: signal.Signals
) -> None:
    worker = control.worker("one", *NETWORK)
    todo = asked(("print", "before"), ("get", gate.url), ("print", "after"))
    job = control.ok("job", "submit", steps, "--allow-host", "127.0.0.1:*", "--input", todo)
    assert gate.arrived.acquire(timeout=60)
    follower = control.start("job", "logs", "-f", job)
    follower.line("before")
    address = json.loads(control.credentials.read_text())["url"].removeprefix("http://")
    control.processes[0].end(number)
    control.control_plane("--bind", address)
    gate.opened.set()
    assert control.ok("job", "wait", job) == "completed"
    assert follower.wait() == 0, follower.stderr
    assert "".join(follower.lines).splitlines() == ["before", "after"]
    assert worker.popen.poll() is None
    # The worker noticed, came back within the grace and kept its guest.
    assert control.json("job", "show", job)["epoch"] == 1


def test_bytes_go_through_untouched(shared: Cluster) -> None:
    five = ROOT / "guest" / "examples" / "five_steps.c"
    from guest.build_c import build_c

    module = build_c(five)
    job = shared.ok("job", "submit", str(module))
    assert shared.ok("job", "wait", job) == "completed"
    assert shared.json("job", "show", job)["result_size"] == 40
    assert Path(module).suffix == ".wasm"

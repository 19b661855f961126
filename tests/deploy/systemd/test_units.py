"""The units of ``deploy/systemd``, started by a real systemd."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mvm_ci.testing.cluster import build_module
from tests.deploy.systemd.machine import PROGRAM, UNITS, Machine, booted, install
from tests.faults.conftest import STEPS

PLANE, WORKER, ENGINE = "mvm-ci-control-plane.service", "mvm-ci-worker@1.service", "mvm-ci-engine.service"
EXPOSURE = 11
"""Tenths, as ``systemd-analyze security`` counts it: 0 is nothing at all, 96 an ordinary service."""
WATCHDOG_S = 3
ENDLESS = [["count", 10**15]]

pytestmark = pytest.mark.timeout(300)


class Services(Machine):
    """A machine on which the units are installed, and its command line."""

    def cli(self, *command: str, stdin: str = "") -> str:
        """What ``mvm-ci`` prints there."""
        environ = ("MVM_CI_URL=http://127.0.0.1:3020", f"MVM_CI_TOKEN_FILE={self.token}")
        return self.ok("env", *environ, PROGRAM, *command, stdin=stdin)

    @property
    def token(self) -> str:
        return "/var/lib/mvm-ci-control-plane/admin-token"

    def job(self, name: str) -> Any:
        return json.loads(self.cli("job", "show", name, "--json"))

    def workers(self) -> list[bool]:
        """Whether each worker is connected."""
        return [one["connected"] for one in json.loads(self.cli("worker", "list", "--json"))["workers"]]

    def restarts(self, unit: str) -> int:
        return int(self.show(unit, "NRestarts"))

    def says(self, unit: str, words: str) -> None:
        """Returns when a unit's status says so."""
        self.until(lambda: words in self.show(unit, "StatusText"), f"{unit}: {words}")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with booted(tmp_path_factory.mktemp("machine")) as made:
        install(made)
        yield Services(made.pid)


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_module(STEPS, tmp_path_factory.mktemp("modules"))


@pytest.fixture
def running(machine: Services) -> Iterator[Services]:
    """A control plane and a worker, as the documentation sets them up; and nothing of them afterwards."""
    machine.write("/etc/mvm-ci/control-plane.env", "MVM_CI_LEASE=5s\n")
    machine.ok("systemctl", "start", PLANE)
    machine.write("/etc/mvm-ci/join-token", machine.cli("join-token", "create"), "0600")
    machine.write(
        "/etc/mvm-ci/worker.env",
        "MVM_CI_TICKET_FILE=/run/mvm-ci-control-plane/ticket\nMVM_CI_SLOTS=1\nMVM_CI_GRACE=6s\n",
    )
    yield machine
    machine.ok("systemctl", "stop", WORKER, PLANE)
    machine.run("systemctl", "reset-failed", WORKER, PLANE)
    machine.ok("sh", "-c", "rm -rf /var/lib/private/mvm-ci-* /etc/systemd/system/mvm-ci-*.d")
    machine.ok("systemctl", "daemon-reload")


def test_systemd_understands_every_line(machine: Services) -> None:
    units = [f"/etc/systemd/system/{unit.name}" for unit in UNITS.iterdir()]
    assert len(units) == 3
    done = machine.run("systemd-analyze", "verify", *units)
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if "mvm-ci" in line]
    assert (done.returncode, complaints) == (0, [])


@pytest.mark.parametrize("unit", [PLANE, "mvm-ci-worker@.service", ENGINE])
def test_what_a_unit_may_do_does_not_grow_unseen(machine: Services, unit: str) -> None:
    path = f"/etc/systemd/system/{unit}"
    done = machine.run(
        "systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE}", "--no-pager", path
    )
    assert done.returncode == 0, done.stdout


def test_they_start_run_a_job_and_stop(running: Services, steps: Path) -> None:
    for unit in (PLANE, WORKER):
        running.override(unit, "SystemCallErrorNumber=kill")  # what the filter refuses would be the end
    running.ok("systemctl", "restart", PLANE)
    assert running.show(PLANE, "StatusText").startswith("serving http://127.0.0.1:3020: 0 workers")
    running.ok("systemctl", "start", WORKER)
    # It has a session when the command returns.
    assert running.workers() == [True]
    assert running.show(WORKER, "StatusText") == "connected, 0 jobs run or wait here"
    module = push(running, steps)
    answer = running.cli("job", "submit", module, "--input", '[["count", 10]]', "--wait", "--json")
    assert json.loads(answer)["state"] == "completed"
    # Each has a user and a directory of its own.
    owners = running.ok("sh", "-c", "stat -c '%U %a' /var/lib/private/mvm-ci-*").splitlines()
    assert len(set(owners)) == 2
    assert all(owner.endswith(" 700") and not owner.startswith("root ") for owner in owners)
    for unit in (WORKER, PLANE):
        running.ok("systemctl", "stop", unit)
        assert running.show(unit, "Result") == "success"
        assert (running.show(unit, "ExecMainStatus"), running.restarts(unit)) == ("0", 0)


@pytest.mark.parametrize("unit", [PLANE, WORKER])
def test_one_that_hangs_is_killed_and_started_again(running: Services, unit: str) -> None:
    running.override(unit, f"WatchdogSec={WATCHDOG_S}", "TimeoutAbortSec=2", "RestartSec=0")
    running.ok("systemctl", "restart", PLANE)
    running.ok("systemctl", "start", WORKER)
    running.ok("kill", "-STOP", running.show(unit, "MainPID"))
    running.until(lambda: running.restarts(unit) == 1, f"{unit} is started again")
    running.until(lambda: running.show(unit, "ActiveState") == "active", f"{unit} is ready again")
    assert "Watchdog timeout" in running.ok("journalctl", "--no-pager", "-u", unit)
    running.until(lambda: running.workers() == [True], "the worker is connected again")


def test_a_worker_that_is_cut_off_is_left_alone(running: Services) -> None:
    running.override(WORKER, f"WatchdogSec={WATCHDOG_S}")
    running.ok("systemctl", "start", WORKER)
    pid = running.show(WORKER, "MainPID")
    running.ok("systemctl", "stop", PLANE)
    running.says(WORKER, "cut off from the control plane")
    time.sleep(WATCHDOG_S * 3)
    assert running.show(WORKER, "ActiveState") == "active"
    running.ok("systemctl", "start", PLANE)
    running.says(WORKER, "connected")
    assert (running.show(WORKER, "MainPID"), running.restarts(WORKER)) == (pid, 0)


def test_a_worker_without_a_control_plane_starts_for_as_long_as_it_takes(running: Services) -> None:
    running.override(WORKER, f"WatchdogSec={WATCHDOG_S}", "TimeoutStartSec=10")
    running.ok("systemctl", "stop", PLANE)
    running.write("/etc/mvm-ci/worker.env", "MVM_CI_TICKET_FILE=/etc/mvm-ci/ticket\nMVM_CI_SLOTS=1\n")
    running.ok("systemctl", "start", "--no-block", WORKER)
    running.says(WORKER, "cut off from the control plane")
    time.sleep(12)
    assert (running.show(WORKER, "ActiveState"), running.restarts(WORKER)) == ("activating", 0)
    running.ok("systemctl", "start", PLANE)
    running.ok("cp", "/run/mvm-ci-control-plane/ticket", "/etc/mvm-ci/ticket")
    running.until(lambda: running.show(WORKER, "ActiveState") == "active", "it is ready")
    assert running.restarts(WORKER) == 0


def test_a_worker_has_the_time_to_drain_that_it_asks_for(running: Services, steps: Path) -> None:
    running.override(WORKER, "TimeoutStopSec=1")  # its grace is longer
    running.ok("systemctl", "start", WORKER)
    job = running.cli("job", "submit", push(running, steps), "--input", json.dumps(ENDLESS))
    running.until(lambda: running.job(job)["state"] == "in_progress", "it runs")
    running.ok("systemctl", "stop", WORKER)
    assert (running.show(WORKER, "Result"), running.show(WORKER, "ExecMainStatus")) == ("success", "0")
    assert running.job(job)["state"] == "pending"  # handed over, not lost
    assert running.workers() == [False]


def test_what_a_restart_cannot_help_is_not_started_again(running: Services) -> None:
    running.ok("systemctl", "start", WORKER)
    (worker,) = json.loads(running.cli("worker", "list", "--json"))["workers"]
    running.cli("worker", "revoke", worker["id"])
    running.until(lambda: running.show(WORKER, "ActiveState") == "failed", "it is refused")
    assert (running.show(WORKER, "ExecMainStatus"), running.restarts(WORKER)) == ("4", 0)
    running.write("/etc/mvm-ci/control-plane.env", "MVM_CI_LEASE=soon\n")
    assert running.run("systemctl", "restart", PLANE).returncode == 1
    assert (running.show(PLANE, "ExecMainStatus"), running.restarts(PLANE)) == ("2", 0)


def push(machine: Services, file: Path) -> str:
    """The file of that name there."""
    machine.ok("sh", "-c", f"base64 -d >/tmp/{file.name}", stdin=base64.b64encode(file.read_bytes()).decode())
    return f"/tmp/{file.name}"

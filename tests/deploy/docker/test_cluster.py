"""A cluster in containers, started by the script: jobs of every kind, and the loss of each part."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlparse

import pytest

from mvm_ci.client import Client
from mvm_ci.wire import api
from tests.deploy.docker.conftest import WORKERS
from tests.deploy.docker.fleet import Fleet, doing
from tests.faults.conftest import Web

pytestmark = pytest.mark.timeout(600)


def host(web: Web) -> str:
    return str(urlparse(web.url).hostname)


def connected(client: Client) -> int:
    """Workers; an engine is listed, too."""
    return sum(one.connected and one.role != "engine" for one in client.workers())


def submit(fleet: Fleet, client: Client, web: Web, *steps: tuple[str, object]) -> str:
    (job,) = client.submit([doing(fleet.module, host(web), *steps)])
    return job.id


def at_the_gate(fleet: Fleet, client: Client, web: Web) -> str:
    """A job that has done one thing, waits, and will do another."""
    job = submit(
        fleet,
        client,
        web,
        ("post", f"{web.url}/before"),
        ("get", f"{web.url}/gate"),
        ("post", f"{web.url}/after"),
    )
    web.at_the_gate()
    return job


def done_once(fleet: Fleet, client: Client, web: Web, job: str) -> api.JobView:
    """The job when it has ended well, each effect once."""
    ended = client.wait(job, timeout_s=120)
    assert ended.state == "completed", f"{ended}{fleet.logs()}"
    assert ended.attempt == 1
    assert web.posts == {"/before": 1, "/after": 1}
    return ended


def test_the_start_says_where_everything_is_and_what_to_try(fleet: Fleet) -> None:
    said = fleet.said
    assert f"All {WORKERS} workers have joined." in said
    assert f"http://127.0.0.1:{fleet.port}" in said
    (plane,) = fleet.containers("control-plane")
    assert fleet.docker("exec", plane, "cat", "/run/mvm-ci/ticket") in said
    assert fleet.credentials.stat().st_mode & 0o777 == 0o600
    assert json.loads(fleet.credentials.read_text())["token"] not in said
    tries = [line.strip() for line in said.partition("Try:")[2].splitlines() if line.strip()]
    first = tries[0].split()
    shown = subprocess.run(
        ["env", *first], capture_output=True, text=True, timeout=60, check=True, env=_with_command(fleet)
    )
    assert f"{WORKERS} connected" in shown.stdout
    command = tries[1].partition("(")[0].split()
    inside = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=True, env=fleet.environment
    )
    assert all(one in inside.stdout for one in fleet.containers("worker"))


def _with_command(fleet: Fleet) -> dict[str, str]:
    return {**fleet.environment, "PATH": f"{Path(sys.executable).parent}:{fleet.environment['PATH']}"}


def test_jobs_run_beside_each_other_with_results_and_logs(fleet: Fleet, web: Web) -> None:
    with fleet.client() as client:
        step = doing(fleet.module, host(web), ("get", f"{web.url}/gate"), ("lines", 20), ("bytes", 5000))
        jobs = [job.id for job in client.submit([step] * 10)]
        for _ in jobs:
            web.at_the_gate()
        holders = {client.job(job).worker for job in jobs}
        web.gate.set()
        for job in jobs:
            assert client.wait(job, timeout_s=120).state == "completed"
            assert json.loads(client.result(job)) == [2, "r" * 5000]
            assert len([line.text for line in client.logs(job)]) == 20
        # However many: short jobs before these make the dispatcher hand several to one worker at once.
        assert holders <= set(fleet.containers("worker"))


def test_a_job_sleeps_and_wakes(fleet: Fleet, web: Web) -> None:
    with fleet.client() as client:
        job = submit(fleet, client, web, ("sleep", 7), ("clock", None))
        fleet.until(lambda: client.job(job).state == "suspended", "it sleeps")
        assert client.wait(job, timeout_s=60).state == "completed"


def test_a_job_is_cancelled_while_it_waits_for_an_answer(fleet: Fleet, web: Web) -> None:
    with fleet.client() as client:
        job = at_the_gate(fleet, client, web)
        client.cancel(job)
        assert client.wait(job, timeout_s=60).state == "cancelled"
        assert web.posts == {"/before": 1}


def test_a_killed_worker_loses_no_job_and_a_second_start_replaces_it(fleet: Fleet, web: Web) -> None:
    with fleet.client() as client:
        job = at_the_gate(fleet, client, web)
        lost = client.job(job).worker
        assert lost in fleet.containers("worker")
        fleet.docker("kill", "--signal", "KILL", str(lost))
        status = fleet.script("--status")
        assert status.returncode == 1
        assert f"workers: {WORKERS - 1} of {WORKERS} joined" in status.stdout
        web.gate.set()
        ended = done_once(fleet, client, web, job)
        assert ended.epoch == 2
    assert f"All {WORKERS} workers have joined." in fleet.start(WORKERS)
    status = fleet.script("--status")
    assert (status.returncode, status.stderr) == (0, ""), status.stdout


def test_a_killed_control_plane_comes_back_and_the_job_goes_on(fleet: Fleet, web: Web) -> None:
    (plane,) = fleet.containers("control-plane")
    with fleet.client() as client:
        job = at_the_gate(fleet, client, web)
        fleet.docker("kill", "--signal", "KILL", plane)
        fleet.docker("start", plane)
        fleet.until(lambda: client.job(job).state == "in_progress", "it is there again")
        web.gate.set()
        done_once(fleet, client, web, job)
        fleet.until(lambda: connected(client) == WORKERS, "all are back")


def test_a_second_start_changes_nothing(fleet: Fleet) -> None:
    before = {service: fleet.containers(service) for service in ("control-plane", "worker")}
    assert "Nothing had to be changed." in fleet.start(WORKERS)
    assert {service: fleet.containers(service) for service in before} == before


def test_fewer_workers_and_more_again(fleet: Fleet) -> None:
    fleet.start(WORKERS - 1)
    assert len(fleet.containers("worker")) == WORKERS - 1
    fleet.start(WORKERS)
    assert len(fleet.containers("worker")) == WORKERS


def test_containers_can_do_no_more_than_they_need(fleet: Fleet) -> None:
    for one in (*fleet.containers("control-plane"), fleet.containers("worker")[0]):
        assert fleet.docker("exec", one, "id", "-u") == "10001"
        status = fleet.docker("exec", one, "cat", "/proc/1/status")
        for line in ("CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"):
            assert line in status
        for place in ("/here", "/opt/mvm-ci/here", "/usr/here"):
            said = fleet.docker("exec", one, "sh", "-c", f"touch {place} 2>&1 || true")
            assert "Read-only file system" in said
        limits = fleet.inspect(one)["HostConfig"]
        assert limits["Memory"] > 0
        assert limits["NanoCpus"] > 0
        assert limits["PidsLimit"] > 0


def test_a_worker_can_read_what_it_needs_and_nothing_else(fleet: Fleet) -> None:
    worker = fleet.containers("worker")[0]
    assert fleet.docker("exec", worker, "cat", "/run/mvm-ci/join-token").startswith("mvm_join_")
    assert "Read-only" in fleet.docker("exec", worker, "sh", "-c", "touch /run/mvm-ci/here 2>&1 || true")
    assert fleet.docker("exec", worker, "sh", "-c", "ls /var/lib/mvm-ci 2>&1 || true").endswith(
        "No such file or directory"
    )


def test_a_worker_that_could_not_map_compiled_modules_says_so_and_ends(fleet: Fleet) -> None:
    noexec = ("--tmpfs", "/tmp", "--tmpfs", "/var/cache/mvm-ci:uid=10001")
    done = subprocess.run(
        [
            "docker",
            "run",
            "--rm",
            "--volume",
            f"{fleet.project}_shared:/run/mvm-ci:ro",
            *noexec,
            "mvm-ci-worker:local",
        ],
        env=fleet.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "mounted noexec; set MVM_CI_MODULE_CACHE" in done.stderr


def test_no_secret_is_in_an_environment_an_argument_or_a_log(fleet: Fleet) -> None:
    (plane,) = fleet.containers("control-plane")
    token = json.loads(fleet.credentials.read_text())["token"]
    join = fleet.docker("exec", plane, "cat", "/run/mvm-ci/join-token")
    for one in (plane, *fleet.containers("worker")):
        shown = json.dumps(fleet.inspect(one))
        assert not [secret for secret in (token, join) if secret in shown]
    assert not [secret for secret in (token, join) if secret in fleet.logs()]


def test_only_this_machine_reaches_the_api_and_nothing_else_is_published(fleet: Fleet) -> None:
    published = {
        (binding["HostIp"], binding["HostPort"])
        for service in ("control-plane", "worker")
        for one in fleet.containers(service)
        for bindings in fleet.inspect(one)["NetworkSettings"]["Ports"].values()
        for binding in bindings or ()
    }
    assert published == {("127.0.0.1", str(fleet.port))}
    listening = subprocess.run(
        ["ss", "-Hltunp"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    proxies = [line.split()[4] for line in listening.splitlines() if "docker" in line]
    assert [address for address in proxies if not address.startswith("127.0.0.1:")] == []


def test_down_keeps_the_jobs_and_a_new_start_goes_on_with_them(fleet: Fleet) -> None:
    with fleet.client() as client:
        (job,) = client.submit([doing(fleet.module, "127.0.0.1", ("bytes", 3))], wait_s=60)
    assert fleet.script("--option", fleet.option, "--down").returncode == 0
    assert fleet.containers("control-plane") + fleet.containers("worker") == []
    assert sorted(fleet.left()) == sorted(f"{fleet.project}_{name}" for name in ("shared", "state"))
    assert not fleet.credentials.exists()
    assert fleet.script("--status").returncode == 1
    fleet.start(WORKERS)
    with fleet.client() as client:
        assert json.loads(client.result(job.id)) == ["rrr"]

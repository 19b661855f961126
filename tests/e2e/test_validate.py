"""``mvm-ci validate`` on clusters that are really there: with a worker that is killed, interrupted, and with
a control plane that goes away.
"""

from __future__ import annotations

import json
import signal
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from mvm_ci.deploy.validation.fleet import SILENCE_S
from mvm_ci.testing.cluster import ROOT, Cluster, Process
from tests.e2e.test_tutorial import MARK

pytestmark = pytest.mark.timeout(240)
PAGE = ROOT / "docs" / "operations" / "validate.md"


def checks(report: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["outcome"] for check in report["checks"]}


def said(cluster: Cluster, process: Process, words: str) -> None:
    cluster.until(lambda: words in process.stderr or process.popen.poll() is not None, words)
    assert words in process.stderr, process.stderr


def nothing_is_left(cluster: Cluster) -> None:
    assert cluster.json("job", "list")["jobs"] == []
    assert cluster.json("module", "list")["modules"] == []


def process_of(cluster: Cluster, name: str) -> Process:
    return next(process for process in cluster.processes if process.name == name)


def commands() -> list[list[str]]:
    """Those of the page, for a shorter time; the second one kills a worker."""
    text = PAGE.read_text()
    found = [one["code"].strip().split() for one in MARK.finditer(text) if one["kind"] == "run"]
    assert len(found) == text.count("\n```sh\n") == 2
    assert all(command[0] == "mvm-ci" and "30m" in command for command in found)
    return [["20s" if word == "30m" else word for word in command[1:]] for command in found]


def test_a_worker_is_killed_and_comes_back(control: Cluster) -> None:
    control.workers(["one", "two"])
    pids = {name: process_of(control, name).popen.pid for name in ("one", "two")}
    kill = control.directory / "kill-worker"
    cases = " ".join(f"{name}) kill -9 {pid};;" for name, pid in pids.items())
    kill.write_text(f"#!/bin/sh\ncase $MVM_CI_WORKER in {cases} *) exit 9;; esac\n")
    kill.chmod(0o755)
    running = control.start(*commands()[1], "--rate", "8", "--json")
    control.until(
        lambda: any(process_of(control, name).popen.poll() is not None for name in pids), "one is killed"
    )
    (killed,) = [name for name in pids if process_of(control, name).popen.poll() is not None]
    said(control, running, "went on in a new epoch")
    control.worker_process(killed, token="")
    assert running.wait(120) == 0, running.stderr + "".join(running.lines)
    report = json.loads("".join(running.lines))
    assert report["complete"]
    assert checks(report) == {
        "control-plane": "passed",
        "workers": "passed",
        "execution": "passed",
        "updates": "passed",
        "worker-loss": "passed",
        "fleet": "passed",
        "jobs": "passed",
        "leaks": "not judged",
    }
    loss = next(check for check in report["checks"] if check["name"] == "worker-loss")
    assert f"{killed} was killed" in loss["text"]
    assert "each effect once" in loss["details"][0]
    assert sum(report["jobs"].values()) == report["figures"]["jobs whose end was checked"] > 8 * 20
    assert set(report["jobs"]) == {"compute", "family", "message", "sleep", "steps", "suspended", "long"}
    assert report["figures"]["jobs that lost their worker"] >= 1
    assert all(delay["count"] for delay in report["delays"].values())
    page = (control.directory / "report.html").read_text()
    assert ET.fromstring(page.removeprefix("<!DOCTYPE html>")).findall(".//svg")
    assert f"{killed} was killed" in page
    assert report["left"] == []
    nothing_is_left(control)


def test_an_interrupted_validation_tells_what_it_found_until_then(control: Cluster) -> None:
    control.workers(["one", "two"])
    kill = "echo cannot find $MVM_CI_WORKER; exit 3"
    running = control.start(
        "validate", "--duration", "20s", "--kill", kill, "--html", "report.html", "--json"
    )
    said(control, running, "FAILED")
    assert running.end(signal.SIGINT) == 130, running.stderr
    report = json.loads("".join(running.lines))
    assert (report["complete"], report["ended_by"]) == (False, "interrupted")
    assert checks(report) == {
        "control-plane": "unfinished",
        "workers": "passed",
        "execution": "passed",
        "updates": "unfinished",
        "worker-loss": "failed",
        "fleet": "unfinished",
        "jobs": "unfinished",
        "leaks": "not judged",
    }
    loss = next(check for check in report["checks"] if check["name"] == "worker-loss")
    assert "ended with 3, and said: cannot find" in loss["text"]
    assert "PARTIAL" in (control.directory / "report.html").read_text()
    nothing_is_left(control)


def test_a_validation_that_is_ended_in_good_order_reports_and_tidies_up(control: Cluster) -> None:
    control.worker("one")
    running = control.start("validate", "--duration", "10m")
    said(control, running, "load of 5 jobs a second")
    assert running.end(signal.SIGTERM) == 130, running.stderr
    assert "(interrupted): nothing failed until then" in running.lines[-1]
    nothing_is_left(control)


def test_a_control_plane_that_goes_away_is_told_with_the_time(control: Cluster) -> None:
    control.worker("one")
    running = control.start("validate", "--duration", "30s", "--json")
    said(control, running, "load of 5 jobs a second")
    process_of(control, "control-plane").end(signal.SIGKILL)
    assert running.wait(150) == 1, running.stderr
    report = json.loads("".join(running.lines))
    assert not report["complete"]
    plane = report["checks"][0]
    assert (plane["name"], plane["outcome"]) == ("control-plane", "failed")
    assert "no answer for 60 s" in plane["text"]
    assert "did not answer from" in plane["details"][0]
    assert report["jobs"]["compute"] >= 1
    assert "jobs of the queue validate-" in report["left"][0]


def test_a_restart_of_the_control_plane_fails_the_cluster_and_loses_no_job(control: Cluster) -> None:
    control.worker("one")
    running = control.start("validate", "--duration", "15s", "--json")
    said(control, running, "load of 5 jobs a second")
    address = json.loads(control.credentials.read_text())["url"].removeprefix("http://")
    process_of(control, "control-plane").end()
    control.control_plane("--bind", address)
    assert running.wait(150) == 1, running.stderr
    report = json.loads("".join(running.lines))
    assert report["complete"]
    assert checks(report)["control-plane"] == "failed"
    assert "restarted" in report["checks"][0]["text"]
    assert checks(report)["jobs"] == "passed", report["problems"]
    nothing_is_left(control)


def test_a_control_plane_that_is_frozen_for_a_while_fails_the_cluster(control: Cluster) -> None:
    control.worker("one")
    plane = process_of(control, "control-plane").popen
    running = control.start("validate", "--duration", "10s", "--json")
    said(control, running, "load of 5 jobs a second")
    plane.send_signal(signal.SIGSTOP)
    time.sleep(SILENCE_S + 2)  # that is what the check is about
    plane.send_signal(signal.SIGCONT)
    assert running.wait(150) == 1, running.stderr
    report = json.loads("".join(running.lines))
    found = report["checks"][0]
    assert (found["name"], found["outcome"]) == ("control-plane", "failed")
    assert "it did not answer for 10 s or more" in found["text"]
    assert checks(report)["jobs"] == "passed", report["problems"]
    nothing_is_left(control)


def test_a_token_that_is_revoked_meanwhile_ends_it_with_a_report(control: Cluster) -> None:
    control.worker("one")
    token = control.ok("token", "create", "brief", "--role", "operator", "--all-namespaces")
    url = json.loads(control.credentials.read_text())["url"]
    environ = {"MVM_CI_TOKEN": token, "MVM_CI_URL": url}
    running = control.start("validate", "--duration", "10m", environ=environ)
    said(control, running, "load of 5 jobs a second")
    control.ok("token", "revoke", "brief")
    assert running.wait() == 1, running.stderr
    told = "".join(running.lines)
    assert "the validation could not go on: " in told
    assert "unfinished  The control plane stays up" in told
    assert "left behind: jobs of the queue validate-" in told
    assert "PARTIAL" in running.lines[-1]


def test_a_cluster_without_workers_is_told_how_to_get_one(control: Cluster) -> None:
    done = control.run("validate", "--join-timeout", "1s", "--duration", "10s")
    assert done.returncode == 1, done.stderr
    assert "no worker is connected after 1 s; start one with: mvm-ci worker" in done.stdout
    assert "PARTIAL" in done.stdout.splitlines()[-1]
    nothing_is_left(control)


def test_what_cannot_begin_says_why(control: Cluster, tmp_path: Path) -> None:
    viewer = control.ok("token", "create", "dashboard", "--role", "viewer")
    nobody = {"MVM_CI_TOKEN": viewer, "MVM_CI_URL": json.loads(control.credentials.read_text())["url"]}
    for args, environ, code, words in (
        (("--duration", "5s"), {}, 2, "give 10s or more"),
        (("--html", str(tmp_path / "missing" / "x.html")), {}, 2, "--html"),
        ((), nobody, 4, "the role submitter"),
        ((), {**nobody, "MVM_CI_TOKEN": "mvm_api_" + "a" * 43}, 4, "token"),
        ((), {"MVM_CI_CREDENTIALS": str(tmp_path / "none")}, 2, "token"),
        (("--url", "http://127.0.0.1:9"), {"MVM_CI_TOKEN": "x"}, 3, "127.0.0.1:9"),
        (("--url", "nonsense"), {"MVM_CI_TOKEN": "x"}, 2, "nonsense"),
    ):
        done = control.run("validate", *args, environ=environ)
        assert done.returncode == code, (args, done.stderr)
        assert words in done.stderr, (args, done.stderr)
        assert done.stdout == ""


def test_a_token_of_one_namespace_is_enough_for_all_but_the_figures(control: Cluster) -> None:
    control.workers(["one", "two"])
    control.ok("namespace", "create", "team")
    token = control.ok("token", "create", "team-ci", "--role", "submitter", "--namespace", "team")
    url = json.loads(control.credentials.read_text())["url"]
    done = control.run(*commands()[0], environ={"MVM_CI_TOKEN": token, "MVM_CI_URL": url})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "namespace team" in done.stdout
    assert "the metrics need a token for all namespaces" in done.stdout
    assert "left behind: the module mvm-ci-validate" in done.stdout, "only an operator may take it away"
    assert done.stdout.splitlines()[-1] == "all checks that were judged passed"
    assert "<svg" in (control.directory / "report.html").read_text()

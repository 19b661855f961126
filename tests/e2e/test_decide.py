"""``mvm-ci decide`` at a cluster that is really there: its workers and its rate are seen."""

from __future__ import annotations

import json
import time

import pytest

from mvm_ci.client import Client
from mvm_ci.testing.cluster import ROOT, Cluster
from mvm_ci.wire import api

pytestmark = pytest.mark.timeout(120)
RESULTS = ROOT / "tests" / "unit" / "capacity" / "runs" / "clear-no.json"


def test_a_running_cluster_is_watched(control: Cluster, noop: str) -> None:
    control.workers(["one", "two"])
    module = control.ok("module", "push", noop)
    found = json.loads(control.credentials.read_text())
    deciding = control.start("decide", "--results", str(RESULTS), "--duration", "5s", "--json")
    with Client(found["url"], found["token"]) as client:
        while deciding.popen.poll() is None:
            client.submit([api.SubmitJob(module=module)])
            time.sleep(0.02)  # far below the rate that the results have
    assert deciding.wait() == 0, deciding.stderr
    decision = json.loads("".join(deciding.lines))
    question = decision["question"]
    assert question["workers"] == 2
    assert question["jobs_per_s"] > 0
    assert question["source"] == "seen at the running cluster for 5 s"


def test_a_cluster_without_jobs_or_permission_is_told(control: Cluster) -> None:
    control.worker("one")
    idle = control.run("decide", "--results", str(RESULTS), "--duration", "1s")
    assert (idle.returncode, idle.stdout) == (2, "")
    assert "no job ended at the running cluster in 1 s" in idle.stderr
    token = control.ok("token", "create", "team", "--role", "viewer", "--namespace", "default")
    url = json.loads(control.credentials.read_text())["url"]
    refused = control.run("decide", "--duration", "1s", environ={"MVM_CI_TOKEN": token, "MVM_CI_URL": url})
    assert refused.returncode == 4

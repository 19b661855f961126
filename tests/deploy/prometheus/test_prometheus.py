"""A real Prometheus with the files of ``deploy/monitoring``: it takes them, and finds in a running cluster
what they are about.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from deploy.monitoring.dashboard import dashboard
from deploy.monitoring.rows import ROWS
from guest.build_c import build_c
from mvm_ci.testing.cluster import ROOT, Cluster, cluster

MONITORING: Final = ROOT / "deploy" / "monitoring"
HERE: Final = Path(__file__).parent
PAGE: Final = (ROOT / "docs" / "reference" / "metrics.md").read_text()
METRICS: Final = dict(re.findall(r"^\| `(mvm_ci_\w+)` \| (\w+) \|", PAGE, re.MULTILINE))
RECORDED: Final = re.findall(r"- record: (\S+)", (MONITORING / "rules" / "recording.yml").read_text())
ALERTS: Final = re.findall(r"- alert: (\w+)", (MONITORING / "rules" / "alerts.yml").read_text())
PATIENCE_S: Final = 60.0
ENGINE_PANELS: Final = {panel.title for panel in ROWS["Engines that serve workers"]} | {"Versions"}
"""Without an engine that serves workers these are not complete."""
OF_THE_MACHINE: Final = re.compile(r"MvmCi(Disk|Claims|Starts|Commits|Sync|Journal|Loop|EngineSlow)\w*")
"""Alerts that say that the machine of this test is slow, or its disk small."""


@pytest.fixture(autouse=True, scope="module")
def tools() -> None:
    """Says what is missing, at once; it is never skipped."""
    if shutil.which("prometheus") is None or shutil.which("promtool") is None:
        pytest.fail("missing: apt-get install prometheus", pytrace=False)


def promtool(*command: str) -> str:
    done = subprocess.run(["promtool", *command], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# -------------------------------------------------------------------- the files alone


def test_promtool_takes_the_configuration_and_the_rules() -> None:
    promtool("check", "config", "--syntax-only", str(MONITORING / "prometheus.yml"))
    said = promtool("check", "rules", *(str(path) for path in (MONITORING / "rules").glob("*.yml")))
    assert f"{len(ALERTS)} rules found" in said
    assert f"{len(RECORDED)} rules found" in said


@pytest.mark.parametrize("file", sorted(HERE.glob("*.test.yml")), ids=lambda path: path.name)
def test_rules_do_what_their_tests_say(file: Path) -> None:
    promtool("test", "rules", str(file))


def test_every_alert_is_made_to_fire_and_every_recording_has_a_value() -> None:
    tests = "\n".join(path.read_text() for path in HERE.glob("*.test.yml"))
    assert re.findall(r"^  - name: (\w+)$", tests, re.MULTILINE).count("well") == 1
    assert {name for name in ALERTS if f'labels: \'ALERTS{{alertname="{name}"' not in tests} == set()
    assert {name for name in RECORDED if f"expr: '{name}'" not in tests} == set()


# -------------------------------------------------------------------- a cluster that is scraped


@dataclass
class Prometheus:
    """One that runs."""

    url: str

    def get(self, path: str, **parameters: str) -> Any:
        asked = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return json.loads(answer.read())["data"]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        found = self.get("query", query=expression)["result"]
        return [(one["metric"], float(one["value"][1])) for one in found]

    def names(self) -> set[str]:
        return set(self.get("label/__name__/values"))

    def rules(self) -> list[dict[str, Any]]:
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]

    def active(self) -> dict[str, str]:
        """Alerts that are pending or firing."""
        return {alert["labels"]["alertname"]: alert["state"] for alert in self.get("alerts")["alerts"]}


def until(fact: Callable[[], object], what: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            if fact():
                return
        assert time.monotonic() < deadline, what()
        time.sleep(0.2)


def adapted(text: str, plane: str, token: Path, engine: str, engine_token: Path) -> str:
    """The shipped configuration with this cluster's addresses and files, and no minute to wait."""
    for old, new in (
        ('targets: ["127.0.0.1:3020"]', f'targets: ["{plane}"]'),
        ('targets: [] # "127.0.0.1:27288"', f'targets: ["{engine}"]' if engine else "targets: []"),
        ("/etc/prometheus/mvm-ci-token", str(token)),
        ("/etc/prometheus/mvm-ci-engine-token", str(engine_token)),
        ("scrape_interval: 15s", "scrape_interval: 1s"),
        ("evaluation_interval: 15s", "evaluation_interval: 1s"),
        ("rules/*.yml", str(MONITORING / "rules" / "*.yml")),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@contextlib.contextmanager
def scraping(made: Cluster, directory: Path) -> Iterator[Prometheus]:
    """A Prometheus that scrapes this cluster, until the block ends."""
    token = directory / "token"
    token.write_text(made.ok("token", "create", "prometheus", "--role", "viewer", "--all-namespaces"))
    plane = json.loads(made.credentials.read_text())["url"].removeprefix("http://")
    engine = made.engine_url.removeprefix("http://") if made.option == 3 else ""
    shipped = (MONITORING / "prometheus.yml").read_text()
    engine_token = made.engine_token if engine else token
    config = directory / "prometheus.yml"
    config.write_text(adapted(shipped, plane, token, engine, engine_token))
    promtool("check", "config", str(config))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address={address}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            made_one = Prometheus(f"http://{address}")
            until(lambda: made_one.query("up"), (directory / "log").read_text)
            yield made_one
        finally:
            process.terminate()
            process.wait(timeout=20)


@pytest.fixture(params=[1, 4, 3], ids=["option1", "option4", "engine-elsewhere"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    """Its engines: in its worker; in its control plane; in a process of its own."""
    (tmp_path / "cluster").mkdir()
    with cluster(tmp_path / "cluster") as made:
        made.option = request.param
        made.control_plane()
        if made.option == 3:
            made.engine()
        made.worker("one")
        yield made


def expected(option: int) -> set[str]:
    """The series that the page on metrics promises for an option."""
    names: set[str] = set()
    for name, kind in METRICS.items():
        if option != 1 or not name.startswith("mvm_ci_engine_"):
            names |= (
                {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
            )
    return names


def recorded(option: int) -> set[str]:
    """The recording rules that have values: without an engine for workers there is nothing of one."""
    return {name for name in RECORDED if option != 1 or "engine" not in name}


def mute(prometheus: Prometheus) -> set[str]:
    """The panels of the dashboard of which a query finds nothing; one that is wrong raises."""
    found: set[str] = set()
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"].replace("$job", ".*").replace("$instance", ".*")
            if not prometheus.query(query) and not query.endswith("> 0"):
                found.add(panel["title"])
    return found


def test_a_prometheus_finds_all_of_it_and_no_alert_fires(made: Cluster, tmp_path: Path) -> None:
    steps = build_c(ROOT / "benchmarks" / "guests" / "strict_steps.c")
    module = made.json("module", "push", str(steps))["digest"]
    with scraping(made, tmp_path) as prometheus:

        def values() -> set[str]:
            # Rates need something that happens between scrapes.
            made.ask("POST", "/v1/jobs", {"jobs": [{"module": module, "input": "x"}] * 5, "wait_s": 30})
            has = set(recorded(made.option))
            for name in sorted(has):
                found = [value for _, value in prometheus.query(name)]
                if not found or any(math.isnan(value) for value in found):
                    has.discard(name)
            return has

        until(lambda: values() == recorded(made.option), lambda: recorded(made.option) - values())
        jobs = {"mvm-ci"} | ({"mvm-ci-engine"} if made.option == 3 else set())
        assert {(metric["job"], value) for metric, value in prometheus.query("up")} == {
            (job, 1) for job in jobs
        }
        names = prometheus.names()
        assert expected(made.option) <= names
        if made.option == 1:
            assert {name for name in names if name.startswith("mvm_ci_engine_")} == set()
        where = "mvm-ci-engine" if made.option == 3 else "mvm-ci"
        assert {metric["job"] for metric, _ in prometheus.query("mvm_ci_engine_slots")} <= {where}
        rules = prometheus.rules()
        assert len(rules) == len(ALERTS) + len(RECORDED)
        assert {(rule["name"], rule["health"], rule.get("lastError", "")) for rule in rules} == {
            (name, "ok", "") for name in (*ALERTS, *RECORDED)
        }
        assert mute(prometheus) == (ENGINE_PANELS if made.option == 1 else set())
        assert {name for name in prometheus.active() if not OF_THE_MACHINE.fullmatch(name)} == set()

        # One thing goes wrong: its alert begins to count, with its words filled in.
        made.processes[-1].end()
        until(lambda: "MvmCiNoWorkers" in prometheus.active(), prometheus.active)
        (alert,) = (
            alert
            for alert in prometheus.get("alerts")["alerts"]
            if alert["labels"]["alertname"] == "MvmCiNoWorkers"
        )
        assert alert["labels"]["severity"] == "critical"
        plane = json.loads(made.credentials.read_text())["url"].removeprefix("http://")
        assert alert["annotations"]["summary"] == f"No worker is connected to {plane}."


def test_an_engine_that_has_no_address_shows_at_its_control_plane(tmp_path: Path) -> None:
    with cluster(tmp_path) as made:
        made.option = 2
        made.control_plane()
        made.worker("one")
        with urllib.request.urlopen(made.request("GET", "/metrics")) as answer:
            shown = set(re.findall(r"^(mvm_ci_\w+)", answer.read().decode(), re.MULTILINE))
    assert expected(2) <= shown

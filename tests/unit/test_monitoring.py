"""``deploy/monitoring``: rules, dashboard, the pages about them and the table of metrics say the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any, Final

import click
import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.monitoring import dashboard
from deploy.monitoring.rows import ROWS
from mvm_ci.cli.main import root
from tests.unit.named_tests import ROOT

MONITORING: Final = ROOT / "deploy" / "monitoring"
PAGES: Final = ROOT / "docs" / "operations"
ALERTS: Final = (MONITORING / "rules" / "alerts.yml").read_text()
RECORDING: Final = (MONITORING / "rules" / "recording.yml").read_text()
RUNBOOKS: Final = (PAGES / "runbooks.md").read_text()
METRICS: Final = (ROOT / "docs" / "reference" / "metrics.md").read_text()
BLOCKS: Final = {block.split("\n", 1)[0]: block for block in ALERTS.split("- alert: ")[1:]}
RECORDED: Final = re.findall(r"- record: (\S+)", RECORDING)
KINDS: Final = dict(re.findall(r"^\| `(mvm_ci_\w+)` \| (\w+) \|", METRICS, re.MULTILINE))
PROCESS: Final = set(re.findall(r"`(process_\w+)`", METRICS))


def metrics_of(query: str) -> set[str]:
    """The metrics and recorded series that a query names."""
    return set(re.findall(r"\b(?:instance:[\w:]+|(?:mvm_ci|process)_\w+)", query))


def known(name: str) -> bool:
    """Whether there is such a series."""
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    if name in RECORDED or name in PROCESS:
        return True
    return KINDS.get(base) == "histogram" if base != name else name in KINDS and KINDS[name] != "histogram"


@pytest.mark.parametrize("name", BLOCKS)
def test_an_alert_says_all_that_whoever_is_woken_needs(name: str) -> None:
    block = BLOCKS[name]
    assert re.fullmatch(r"MvmCi[A-Za-z]+", name)
    for field in ("expr: .+", r"for: \d+[mh]", r"labels: {severity: (critical|warning)}"):
        assert re.search(rf"^ +{field}$", block, re.MULTILINE), field
    for field in ("summary", "description"):
        said = re.search(rf'^ +{field}: "(.+)"$', block, re.MULTILINE)
        assert said, field
        assert said[1].endswith(".")
    assert f"runbook_url: docs/operations/runbooks.md#{name.lower()}\n" in block + "\n"


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    sections = re.findall(r"^## (\w+)$", RUNBOOKS, re.MULTILINE)
    assert sections == list(BLOCKS)
    for section in RUNBOOKS.split("\n## ")[1:]:
        name, _, text = section.partition("\n\n")
        parts = [text.find(part) for part in ("**Look at**", "**Do**", "**Over** when: ")]
        assert 0 < parts[0] < parts[1] < parts[2], name
        assert len(text.split("**Look at**")[0].split()) >= 10, f"{name}: what it means"


def test_the_runbooks_name_all_that_is_critical() -> None:
    critical = [name for name, block in BLOCKS.items() if "severity: critical" in block]
    named = RUNBOOKS.partition("`critical` means now: ")[2].partition(". ")[0]
    assert re.findall(r"MvmCi\w+", named) == critical


@pytest.mark.parametrize("rules", [ALERTS, RECORDING], ids=["alerts", "recording"])
def test_rules_are_about_metrics_that_there_are(rules: str) -> None:
    queries = re.findall(r"expr: \|?\s*(.+(?:\n {12,}.+)*)", rules)
    named = set().union(*map(metrics_of, queries))
    assert len(named) > 15
    assert {name for name in named if not known(name)} == set()


def test_every_histogram_has_its_quantiles() -> None:
    histograms = {name for name, kind in KINDS.items() if kind == "histogram"}
    assert len(histograms) == 10
    for name in histograms:
        assert {f"instance:{name}:p50", f"instance:{name}:p99"} <= set(RECORDED)


# -------------------------------------------------------------------- the dashboard

MADE: Final[dict[str, Any]] = dashboard.dashboard()
SHOWN: Final[list[dict[str, Any]]] = [panel for panel in MADE["panels"] if panel["type"] != "row"]


def test_the_dashboard_is_what_the_generator_gives() -> None:
    assert dashboard.TARGET.read_text() == dashboard.text(), "python -m deploy.monitoring.dashboard"


@pytest.mark.parametrize("panel", SHOWN, ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows_and_in_which_unit(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in {
        "none",
        "short",
        "s",
        "ops",
        "bytes",
        "percentunit",
    }
    assert panel["datasource"] == dashboard.SOURCE
    for target in panel["targets"]:
        named = metrics_of(target["expr"])
        assert named or target["expr"].startswith("up{")
        assert {name for name in named if not known(name)} == set()
        assert 'job=~"$job",instance=~"$instance"' in target["expr"]
        assert "{{instance}}" in target["legendFormat"]


def test_every_metric_is_on_the_dashboard() -> None:
    named = set().union(*(metrics_of(target["expr"]) for panel in SHOWN for target in panel["targets"]))
    recorded = {
        metric
        for line in RECORDING.split("- record: ")
        if line.split("\n")[0] in named
        for metric in metrics_of(line)
    }
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in named | recorded}
    assert {name for name in (*KINDS, *PROCESS) if name not in shown} == set()


def lost(given: Any, kept: Any, where: str = "") -> Iterator[str]:
    """Where in ``given`` something is that ``kept`` has not, or has otherwise."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            if key in kept:
                yield from lost(value, kept[key], f"{where}/{key}")
            else:
                yield f"{where}/{key}"
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for number, pair in enumerate(zip(given, kept, strict=True)):
            yield from lost(*pair, f"{where}/{number}")
    elif given != kept:
        yield where


def through_grafana(made: dict[str, Any]) -> dict[str, Any]:
    """What Grafana's own models keep of a dashboard: the fields that they know."""
    plugins.register_default_plugins()
    kept: dict[str, Any] = json.loads(JSONEncoder().encode(Dashboard.from_json(made)))
    return kept


def test_grafana_s_models_know_every_field() -> None:
    assert list(lost(MADE, through_grafana(MADE))) == []


def test_a_field_that_they_do_not_know_is_found() -> None:
    wrong = json.loads(dashboard.text())
    at = next(number for number, panel in enumerate(wrong["panels"]) if panel["type"] == "timeseries")
    wrong["panels"][at]["options"]["legendd"] = {}
    wrong["panels"][at]["targets"][0]["exprr"] = "up"
    assert set(lost(wrong, through_grafana(wrong))) == {
        f"/panels/{at}/targets/0/exprr",
        f"/panels/{at}/options/legendd",
    }


def test_it_has_what_grafana_needs() -> None:
    assert {"uid", "title", "schemaVersion", "version", "time", "templating", "panels"} <= set(MADE)
    panels = MADE["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {panel["type"] for panel in panels} == {"row", "stat", "timeseries"}
    for panel in SHOWN:
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references) > 0
    for one, other in combinations((panel["gridPos"] for panel in panels), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= dashboard.WIDTH for panel in panels)
    variables = MADE["templating"]["list"]
    assert [variable["name"] for variable in variables] == ["datasource", "job", "instance"]
    assert variables[0]["type"] == "datasource"
    assert dashboard.SOURCE == {"type": "prometheus", "uid": "${datasource}"}
    json.dumps(MADE, allow_nan=False)


def test_the_page_on_monitoring_names_the_rows() -> None:
    page = (PAGES / "monitoring.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \|", page.partition("## What to look at")[2], re.MULTILINE)
    named = ["Engines" if title.startswith("Engines") else title for title in ROWS]
    assert rows == ["Row", *named]


# -------------------------------------------------------------------- the pages


@pytest.mark.parametrize("page", ["monitoring.md", "runbooks.md"])
def test_commands_of_the_pages_exist(page: str) -> None:
    text = (PAGES / page).read_text()
    found = re.findall(r"(?:`|^    )mvm-ci ([^`\n>]+)", text, re.MULTILINE)
    assert len(found) >= 3
    for line in found:
        command: click.Command = root
        words = line.split()
        while isinstance(command, click.Group) and words:
            below = command.get_command(click.Context(command), words.pop(0))
            assert below is not None, line
            command = below
        options = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, line
    settings = set(re.findall(r"`(--[a-z0-9-]+)`", text))
    reference = (ROOT / "docs" / "reference" / "cli.md").read_text()
    assert {
        name for name in settings if f"`{name}" not in reference and f"<code>{name}" not in reference
    } == set()


def test_files_that_the_page_copies_are_there() -> None:
    page = (PAGES / "monitoring.md").read_text()
    named = re.findall(r"^    cp (?:-r )?(\S+)", page, re.MULTILINE)
    assert len(named) == 5
    assert [name for name in named if not (ROOT / name).exists()] == []

"""Writes ``grafana/mvm-ci.json``, the dashboard, from ``deploy.monitoring.rows``.

::

    python -m deploy.monitoring.dashboard
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from deploy.monitoring.rows import ROWS, Panel

TARGET: Final = Path(__file__).parent / "grafana" / "mvm-ci.json"
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
WIDTH: Final = 24
HEIGHT: Final = 8
STAT_HEIGHT: Final = 4
SCHEMA: Final = 38
"""Of Grafana 10; newer ones convert it."""
_CHOSEN: Final = 'job=~"$job",instance=~"$instance"'


def dashboard() -> dict[str, Any]:
    """The whole of it, in Grafana's form."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS.items():
        panels.append(
            {
                "type": "row",
                "id": len(panels) + 1,
                "title": title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1},
                "panels": [],
            }
        )
        top += 1
        wide, high = (3, STAT_HEIGHT) if row[0].stat else (8, HEIGHT)
        for number, panel in enumerate(row):
            x, line = number * wide % WIDTH, number * wide // WIDTH
            place = {"x": x, "y": top + line * high, "w": wide, "h": high}
            panels.append(shown(panel, len(panels) + 1, place))
        top += high * -(-len(row) * wide // WIDTH)
    return {
        "uid": "mvm-ci",
        "title": "MVM-CI",
        "description": "Control planes, their workers and engines. Made by deploy.monitoring.dashboard.",
        "tags": ["mvm-ci"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "timezone": "",
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": variables()},
        "annotations": {"list": []},
        "links": [],
        "panels": panels,
    }


def shown(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    """A panel in Grafana's form."""
    custom = {"stacking": {"mode": "normal"}, "fillOpacity": 20} if panel.stacked else {"fillOpacity": 0}
    if panel.stat:
        options: dict[str, Any] = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "none"}
    else:
        options = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
    return {
        "type": "stat" if panel.stat else "timeseries",
        "id": number,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, "custom": {} if panel.stat else custom},
            "overrides": [],
        },
        "options": options,
        "targets": [
            {
                "refId": chr(ord("A") + at),
                "datasource": SOURCE,
                "expr": query.replace("{%}", f"{{{_CHOSEN}}}"),
                "legendFormat": legend,
                "range": True,
            }
            for at, (query, legend) in enumerate(panel.queries)
        ],
    }


def variables() -> list[dict[str, Any]]:
    """What is chosen at the top: where the figures come from, and whose."""
    chosen: list[dict[str, Any]] = [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    ]
    for name, query in (
        ("job", 'label_values(up{job=~"mvm-ci.*"}, job)'),
        ("instance", 'label_values(up{job=~"$job"}, instance)'),
    ):
        chosen.append(
            {
                "name": name,
                "label": name.capitalize(),
                "type": "query",
                "datasource": SOURCE,
                "query": query,
                "refresh": 2,
                "multi": True,
                "includeAll": True,
                "current": {"text": "All", "value": "$__all"},
            }
        )
    return chosen


def text() -> str:
    """As the file has it."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text())

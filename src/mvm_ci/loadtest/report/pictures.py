"""The plots of load tests as files of their own, for documents."""

import re
from collections.abc import Sequence

from mvm_ci.capacity.curve import Run
from mvm_ci.loadtest.report import charts
from mvm_ci.loadtest.report.groups import groups, objective_of
from mvm_ci.reporting import plot
from mvm_ci.reporting.chart import Chart


def pictures(runs: Sequence[Run]) -> dict[str, str]:
    """SVG by file name, as ``throughput-noop.svg``; of several loads of a profile the later ones have a
    number. Raises ``BadInput`` for an objective that is none.
    """
    objective = objective_of(runs)
    drawn: list[Chart] = []
    for group in groups(runs, objective):
        if group.plotted:
            drawn += charts.of_group(group, objective)
    for run in runs:
        if run.result.soak is not None:
            drawn += charts.of_soak(run.result.soak)
    found: dict[str, str] = {}
    for chart in drawn:
        stem = re.sub(r"[^a-z0-9]+", "-", chart.title.lower()).strip("-")
        same = sum(re.fullmatch(rf"{stem}(-\d+)?\.svg", name) is not None for name in found)
        found[f"{stem}-{same + 1}.svg" if same else f"{stem}.svg"] = plot.picture(chart)
    return found

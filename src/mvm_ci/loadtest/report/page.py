"""A report of load tests as one HTML file that needs nothing beside it."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from mvm_ci.capacity.curve import Run
from mvm_ci.capacity.objective import Objective
from mvm_ci.capacity.results import Soak
from mvm_ci.loadtest.report import charts, tables, words
from mvm_ci.loadtest.report.groups import Group, groups, objective_of
from mvm_ci.reporting import plot
from mvm_ci.reporting.chart import Chart
from mvm_ci.reporting.html import document, items
from mvm_ci.reporting.table import as_html


def page(runs: Sequence[Run]) -> str:
    """The file's text, of one result or of several beside each other. Raises ``BadInput`` for an objective
    that is none.
    """
    objective = objective_of(runs)
    found = groups(runs, objective)
    title = f"mvm-ci loadtest: {', '.join(dict.fromkeys(run.result.cluster.address for run in runs))}"
    text, kind = words.verdict(runs)
    parts = [
        f"<h1>{escape(title)}</h1>",
        *(f'<p class="dim">{escape(words.conditions(run))}</p>' for run in runs),
        f'<p class="verdict {kind}">{escape(text)}</p>',
    ]
    told = words.warnings(runs, found, objective)
    if told:
        parts += ["<h2>What limits these figures</h2>", items(told)]
    plotted = [group for group in found if group.plotted]
    single = [group for group in found if not group.plotted]
    if plotted:
        parts.append(f"<h2>Up to where {escape(str(objective))} is met</h2>{as_html(tables.knees(plotted))}")
    for group in plotted:
        parts += _group(group, objective)
    if single:
        parts += ["<h2>Single loads</h2>", as_html(tables.singles(single))]
        parts += _percentiles(charts.of_singles(single, objective))
    for run in runs:
        if run.result.soak is not None:
            parts += _soak(run.result.soak)
    return document(title, [*parts, *_made(runs)])


def _group(group: Group, objective: Objective) -> Iterator[str]:
    yield f'<h2>{escape(group.profile)}</h2><p class="dim">{escape(group.load)}</p>'
    yield _plots(charts.of_group(group, objective))
    fitted = [series for series in group.series if series.curve.fit or series.curve.kind.per_worker]
    if fitted:
        yield f"<h3>Universal Scalability Law</h3>{as_html(tables.fits(fitted))}"
    for series in group.series:
        shown = as_html(tables.figures(series, group.over))
        used = tables.usage(series, group.over)
        if used is not None:
            shown += as_html(used)
        yield f"<details><summary>Figures, {escape(series.name)}</summary>{shown}</details>"
    yield from _percentiles(charts.by_percentile(group, objective))


def _percentiles(found: Sequence[Chart]) -> Iterator[str]:
    if found:
        drawn = "".join(plot.whole(chart, width=312, height=250) for chart in found)
        yield f'<h3>Latency by percentile</h3><div class="plots small">{drawn}</div>'


def _soak(found: Soak) -> Iterator[str]:
    yield f'<h2>Soak</h2><p class="verdict {words.soak_kind(found)}">{escape(words.soak(found))}</p>'
    if found.problems:
        yield items(found.problems)
    yield as_html(tables.soak(found))
    yield _plots(charts.of_soak(found))
    if found.grown:
        yield f"<h3>Growth</h3>{as_html(tables.growth(found))}"
    if found.losses:
        yield f"<h3>Workers killed</h3>{as_html(tables.losses(found))}"


def _made(runs: Sequence[Run]) -> Iterator[str]:
    """How it was measured, to do it again."""
    yield "<h2>How it was measured</h2>"
    for run in runs:
        yield f"<p><code>{escape(run.result.command)}</code></p>"
        yield f'<p class="dim">{escape(words.clock(run.result))}</p>'
    profiles = {name: does for run in runs for name, does in run.result.profiles.items()}
    yield items([f"{name}: {does}" for name, does in profiles.items()])
    yield items(words.READING)


def _plots(found: Iterable[Chart]) -> str:
    drawn = "".join(plot.whole(chart) for chart in found)
    return f'<div class="plots">{drawn}</div>' if drawn else ""

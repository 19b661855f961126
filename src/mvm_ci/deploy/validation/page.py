"""A report as one HTML file that needs nothing beside it."""

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from typing import Final

from mvm_ci.deploy.validation.delays import ABOUT
from mvm_ci.deploy.validation.report import Check, Outcome, Report
from mvm_ci.deploy.validation.text import verdict
from mvm_ci.reporting import chart, plot, scale
from mvm_ci.reporting.html import cell, document, figure, items, mark, table
from mvm_ci.reporting.table import Table, as_html

_CLASSES: Final = {Outcome.PASSED: "passed", Outcome.FAILED: "failed"}


def page(report: Report) -> str:
    """The file's text."""
    began = datetime.fromtimestamp(report.began_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    kind = "failed" if report.failed else "passed" if report.complete else "open"
    title = f"mvm-ci validate: {report.url}"
    where = f"Version {report.version}, namespace {report.namespace}, queue {report.queue}."
    took = f"{began}, {report.took_s:.0f} s; {report.duration_s:.0f} s of load were asked for."
    parts = [
        f'<h1>{escape(title)}</h1><p class="dim">{escape(took)} {escape(where)}</p>',
        f'<p class="verdict {kind}">{escape(verdict(report))}</p>',
        "<h2>Checks</h2>",
        table((_outcome(check.outcome), _told(check)) for check in report.checks),
        *_plots(report),
        "<h2>Delays in milliseconds</h2>",
        _delays(report),
        "<h2>Figures</h2>",
        table(((cell(name), figure(f"{value:.6g}")) for name, value in report.figures.items())),
    ]
    if report.problems:
        rows = ((figure(f"{one.at_s:.1f} s"), cell(one.job), cell(one.text)) for one in report.problems)
        parts += ["<h2>Problems</h2>", table(rows)]
    if report.left:
        parts += ["<h2>Left behind</h2>", items(report.left)]
    return document(title, parts)


def _plots(report: Report) -> Iterable[str]:
    yield "<h2>Over time</h2>"
    for moment in report.moments:
        yield f'<p class="dim">{moment.at_s:.0f} s: {escape(moment.text)}</p>'
    moments = tuple(chart.Moment(moment.at_s, moment.text) for moment in report.moments)
    for one in report.series.values():
        unit = f" ({escape(one.unit)})" if one.unit else ""
        points = tuple(chart.Point(at, value) for at, value in one.points)
        drawn = chart.Chart(
            title=one.title,
            x=scale.duration(report.took_s),
            y=scale.halves(point.y for point in points),
            lines=(chart.Line(name="", points=points, marked=False, area=True),),
            moments=moments,
        )
        yield f"<h3>{escape(one.title)}{unit}</h3>{plot.bare(drawn)}"


def _delays(report: Report) -> str:
    rows = tuple(
        (ABOUT[name], str(one.count), *(f"{value:.1f}" for value in (one.p50, one.p99, one.largest)))
        for name, one in report.delays.items()
    )
    delays = Table(head=("", "count", "p50", "p99", "max"), rows=rows)
    clock = (
        f"The control plane's clock is {report.clock_ahead_ms:+.1f} ms ahead of the one that measured, "
        f"give or take {report.clock_uncertain_ms:.1f} ms."
    )
    return f'{as_html(delays)}<p class="dim">{clock}</p>'


def _told(check: Check) -> str:
    details = items(check.details) if check.details else ""
    return f"<td><b>{escape(check.title)}</b><br/>{escape(check.text)}{details}</td>"


def _outcome(outcome: Outcome) -> str:
    return mark(outcome.value, _CLASSES.get(outcome, "open"))

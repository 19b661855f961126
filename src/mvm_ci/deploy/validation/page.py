"""A report as one HTML file that needs nothing beside it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from mvm_ci.deploy.validation.delays import ABOUT
from mvm_ci.deploy.validation.plots import plot
from mvm_ci.deploy.validation.report import Check, Outcome, Report
from mvm_ci.deploy.validation.text import verdict

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2430; --dim: #667085; --page: #fff; --edge: #d9dee7;
  --line: #2563eb; --good: #15803d; --bad: #b91c1c; --card: #f6f8fb }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ef; --dim: #98a2b3; --page: #14181f; --edge: #303845;
    --line: #60a5fa; --good: #4ade80; --bad: #f87171; --card: #1b212b }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem; margin: 0 }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem }
h3 { font-size: .9rem; margin: 1rem 0 0 }
p { margin: .25rem 0 }
.dim { color: var(--dim) }
.verdict { font-size: 1.1rem; font-weight: 600; padding: .6rem .9rem; margin: 1rem 0;
  border-left: 4px solid; background: var(--card) }
.passed { color: var(--good) }
.failed { color: var(--bad) }
.open { color: var(--dim) }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--edge);
  vertical-align: top }
td.figure, th.figure { text-align: right; font-variant-numeric: tabular-nums }
td.mark { white-space: nowrap; font-weight: 600 }
ul { margin: .2rem 0; padding-left: 1.1rem; color: var(--dim); font-size: .9rem }
svg { width: 100%; height: auto; display: block }
svg text { font: 11px system-ui, sans-serif; fill: var(--dim) }
.grid { stroke: var(--edge) }
.track { fill: none; stroke: var(--line); stroke-width: 1.5 }
.area { fill: var(--line); opacity: .12 }
.moment { stroke: var(--bad); stroke-dasharray: 4 3; stroke-width: 2 }
.up { text-anchor: end }
.along { text-anchor: middle }
"""
_CLASSES: Final = {Outcome.PASSED: "passed", Outcome.FAILED: "failed"}


def page(report: Report) -> str:
    """The file's text."""
    began = datetime.fromtimestamp(report.began_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    kind = "failed" if report.failed else "passed" if report.complete else "open"
    title = f"mvm-ci validate: {escape(report.url)}"
    head = (
        f'<meta charset="utf-8"/><meta name="viewport" content="width=device-width"/><title>{title}</title>'
    )
    where = f"Version {report.version}, namespace {report.namespace}, queue {report.queue}."
    took = f"{began}, {report.took_s:.0f} s; {report.duration_s:.0f} s of load were asked for."
    parts = [
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head><body>',
        f'<h1>{title}</h1><p class="dim">{escape(took)} {escape(where)}</p>',
        f'<p class="verdict {kind}">{escape(verdict(report))}</p>',
        "<h2>Checks</h2>",
        _table((), ((_mark(check.outcome), _told(check)) for check in report.checks)),
        *_plots(report),
        "<h2>Delays in milliseconds</h2>",
        _delays(report),
        "<h2>Figures</h2>",
        _table((), ((_cell(name), _figure(f"{value:.6g}")) for name, value in report.figures.items())),
    ]
    if report.problems:
        rows = ((_figure(f"{one.at_s:.1f} s"), _cell(one.job), _cell(one.text)) for one in report.problems)
        parts += ["<h2>Problems</h2>", _table((), rows)]
    if report.left:
        parts += ["<h2>Left behind</h2>", _list(report.left)]
    return "\n".join([*parts, "</body></html>\n"])


def _plots(report: Report) -> Iterable[str]:
    yield "<h2>Over time</h2>"
    for moment in report.moments:
        yield f'<p class="dim">{moment.at_s:.0f} s: {escape(moment.text)}</p>'
    for one in report.series.values():
        unit = f" ({escape(one.unit)})" if one.unit else ""
        yield f"<h3>{escape(one.title)}{unit}</h3>{plot(one, report.took_s, report.moments)}"


def _delays(report: Report) -> str:
    head = ("", "count", "p50", "p99", "max")
    rows = (
        (
            _cell(ABOUT[name]),
            _figure(str(one.count)),
            *(_figure(f"{value:.1f}") for value in (one.p50, one.p99, one.largest)),
        )
        for name, one in report.delays.items()
    )
    clock = (
        f"The control plane's clock is {report.clock_ahead_ms:+.1f} ms ahead of the one that measured, "
        f"give or take {report.clock_uncertain_ms:.1f} ms."
    )
    return f'{_table(head, rows)}<p class="dim">{clock}</p>'


def _told(check: Check) -> str:
    details = _list(check.details) if check.details else ""
    return f"<td><b>{escape(check.title)}</b><br/>{escape(check.text)}{details}</td>"


def _mark(outcome: Outcome) -> str:
    return f'<td class="mark {_CLASSES.get(outcome, "open")}">{outcome.value}</td>'


def _list(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _cell(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _figure(text: str) -> str:
    return f'<td class="figure">{escape(text)}</td>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    names = "".join(f'<th class="{"figure" if name else ""}">{escape(name)}</th>' for name in head)
    top = f"<tr>{names}</tr>" if head else ""
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f"<table>{top}{body}</table>"

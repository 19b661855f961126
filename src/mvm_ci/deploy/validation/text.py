"""A report as text."""

from datetime import datetime
from typing import Final

from mvm_ci.deploy.validation.delays import ABOUT
from mvm_ci.deploy.validation.report import Check, Outcome, Report

_MARKS: Final = {
    Outcome.PASSED: "ok",
    Outcome.FAILED: "FAILED",
    Outcome.NOT_JUDGED: "not judged",
    Outcome.UNFINISHED: "unfinished",
}
_WIDTH: Final = max(len(mark) for mark in _MARKS.values())


def verdict(report: Report) -> str:
    """One line on the whole."""
    failed = sum(check.outcome is Outcome.FAILED for check in report.checks)
    if failed:
        found = f"{failed} of {len(report.checks)} checks failed"
    elif report.complete:
        found = (
            "all checks passed"
            if _judged(report) == len(report.checks)
            else "all checks that were judged passed"
        )
    else:
        found = "nothing failed until then"
    if report.complete:
        return found
    return f"PARTIAL, ended after {report.took_s:.0f} s ({report.ended_by or 'a check failed'}): {found}"


def line(check: Check) -> str:
    """One line on a check."""
    return f"{_MARKS[check.outcome]:<{_WIDTH}}  {check.title}: {check.text}".rstrip(": ")


def text(report: Report) -> str:
    """All of it."""
    began = datetime.fromtimestamp(report.began_ms / 1000).astimezone().isoformat(sep=" ", timespec="seconds")
    lines = [
        f"{report.url}, version {report.version}, namespace {report.namespace}, queue {report.queue}",
        f"began {began}, took {report.took_s:.0f} s, {report.duration_s:.0f} s of load were asked for",
        "",
    ]
    for check in report.checks:
        lines += [line(check), *(f"{'':<{_WIDTH}}    {detail}" for detail in check.details)]
    lines += ["", "delays in ms", f"{'':<12}{'count':>8}{'p50':>10}{'p99':>10}{'max':>10}"]
    for name, one in report.delays.items():
        figures = f"{one.count:>8}{one.p50:>10.1f}{one.p99:>10.1f}{one.largest:>10.1f}"
        lines.append(f"{name.replace('_', ' '):<12}{figures}   {ABOUT[name]}")
    lines.append(
        f"the control plane's clock is {report.clock_ahead_ms:+.1f} ms ahead of the one here, "
        f"give or take {report.clock_uncertain_ms:.1f} ms"
    )
    lines += ["", *(f"{value:>12.6g}  {name}" for name, value in report.figures.items())]
    lines += [f"left behind: {left}" for left in report.left]
    return "\n".join([*lines, "", verdict(report)])


def _judged(report: Report) -> int:
    return sum(check.outcome is not Outcome.NOT_JUDGED for check in report.checks)

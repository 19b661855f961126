"""A report of load tests for a terminal: short."""

from collections.abc import Sequence
from typing import Final

from mvm_ci.capacity.curve import Run
from mvm_ci.loadtest.report import tables, words
from mvm_ci.loadtest.report.groups import groups, objective_of
from mvm_ci.reporting.table import as_text

_MOST_WARNINGS: Final = 12


def text(runs: Sequence[Run], files: Sequence[str] = ()) -> str:
    """What was found. ``files``: where there is more. Raises ``BadInput`` for an objective that is none."""
    objective = objective_of(runs)
    found = groups(runs, objective)
    plotted = [group for group in found if group.plotted]
    single = [group for group in found if not group.plotted]
    lines = [words.conditions(run) for run in runs]
    if plotted:
        lines += ["", f"up to where {objective} is met", as_text(tables.knees(plotted))]
    if single:
        lines += ["", "single loads", as_text(tables.singles(single))]
    told = words.warnings(runs, found, objective)
    soaks = [run.result.soak for run in runs if run.result.soak is not None]
    told += tuple(problem for one in soaks for problem in one.problems)
    lines += ["", *(f"note: {line}" for line in told[:_MOST_WARNINGS])]
    if len(told) > _MOST_WARNINGS:
        lines.append(f"note: {len(told) - _MOST_WARNINGS} more in the report")
    lines += [f"more in {file}" for file in files]
    return "\n".join([*lines, *([""] if told or files else []), words.verdict(runs)[0]])

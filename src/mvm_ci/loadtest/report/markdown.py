"""A report of load tests as Markdown, to stand in documents."""

from collections.abc import Iterator, Sequence

from mvm_ci.capacity.curve import Run
from mvm_ci.capacity.results import Soak
from mvm_ci.loadtest.report import tables, words
from mvm_ci.loadtest.report.groups import Group, groups, objective_of
from mvm_ci.reporting.table import as_markdown, inline


def markdown(runs: Sequence[Run]) -> str:
    """The text, of one result or of several beside each other. Raises ``BadInput`` for an objective that is
    none.
    """
    objective = objective_of(runs)
    found = groups(runs, objective)
    plotted = [group for group in found if group.plotted]
    single = [group for group in found if not group.plotted]
    parts = [f"**{inline(words.verdict(runs)[0])}**"]
    for run in runs:
        parts += [inline(words.conditions(run)), f"    {' '.join(run.result.command.split())}"]
    if plotted:
        parts += [f"Up to where {objective} is met:", as_markdown(tables.knees(plotted))]
    for group in plotted:
        parts += _group(group)
    if single:
        parts += ["## Single loads", as_markdown(tables.singles(single))]
    for run in runs:
        if run.result.soak is not None:
            parts += _soak(run.result.soak)
    told = words.warnings(runs, found, objective)
    if told:
        parts += ["## Notes", _items(told)]
    return "\n\n".join(parts) + "\n"


def _group(group: Group) -> Iterator[str]:
    yield f"## {inline(group.title)}"
    for series in group.series:
        yield f"### {inline(series.name)}"
        yield as_markdown(tables.figures(series, group.over))
        used = tables.usage(series, group.over)
        if used is not None:
            yield as_markdown(used)
    fitted = [series for series in group.series if series.curve.fit or series.curve.kind.per_worker]
    if fitted:
        yield "Universal Scalability Law:"
        yield as_markdown(tables.fits(fitted))


def _soak(found: Soak) -> Iterator[str]:
    yield "## Soak"
    yield f"{inline(words.soak(found))}."
    if found.problems:
        yield _items(found.problems)
    yield as_markdown(tables.soak(found))
    if found.grown:
        yield as_markdown(tables.growth(found))
    if found.losses:
        yield as_markdown(tables.losses(found))


def _items(lines: Sequence[str]) -> str:
    return "\n".join(f"- {inline(line)}" for line in lines)

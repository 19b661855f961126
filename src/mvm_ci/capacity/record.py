"""A decision as text, and as a record in Markdown. Pure."""

from datetime import UTC, datetime
from typing import Final

from mvm_ci.capacity import telling
from mvm_ci.capacity.decide import Decision, Finding, Verdict
from mvm_ci.capacity.headroom import Headroom

_CONSEQUENCES: Final = {
    Verdict.YES: (
        "Move to option 1, with jobs running: docs/deployment/moving.md.",
        "Workers need memory for guests, and see the inputs, journals and secrets of their jobs.",
        "Workers on machines of their own add cores; on the machine that is full already they add none.",
    ),
    Verdict.NO: (
        "The shared engine stays.",
        "A restart of what hosts it still stops all guests; they go on from their journals.",
    ),
    Verdict.NOT_ENOUGH: ("Nothing changes until the missing run is there.",),
}
ANSWERS: Final = {
    Verdict.YES: "yes, proceed with option 1",
    Verdict.NO: "no, stay with the shared engine",
    Verdict.NOT_ENOUGH: "not enough evidence",
}


def text(decision: Decision) -> str:
    """All of it, for a terminal."""
    lines = [f"Proceed with option 1? {ANSWERS[decision.verdict]}", ""]
    lines += [f"  {why}" for why in decision.why]
    for missing in decision.missing:
        lines += ["", f"missing: {missing.what}", f"  {missing.command}"]
    lines += ["", *_plain(_evidence(decision))]
    return "\n".join([*lines, "", "look again:", *(f"  {again}" for again in decision.again)])


def markdown(decision: Decision) -> str:
    """A decision record."""
    day = datetime.fromtimestamp(decision.made_ms / 1000, UTC).date().isoformat()
    lines = [
        "# Proceed with option 1?",
        "",
        f"Date: {day}",
        "",
        "## Question",
        "",
        _asked(decision),
        "",
        "## Decision",
        "",
        f"**{ANSWERS[decision.verdict].capitalize()}.**",
        "",
        *(f"- {why}" for why in decision.why),
        "",
    ]
    if decision.missing:
        lines += ["## What is missing", ""]
        for missing in decision.missing:
            lines += [f"{missing.what}. The run that would tell:", "", f"    {missing.command}", ""]
    lines += ["## Evidence", ""]
    for title, items in _evidence(decision):
        lines += [f"### {title}", "", *(f"- {item}" for item in items), ""]
    lines += ["## Consequences", "", *(f"- {one}" for one in _CONSEQUENCES[decision.verdict]), ""]
    lines += ["## When to look again", "", *(f"- {again}" for again in decision.again), ""]
    return "\n".join(lines)


def _asked(decision: Decision) -> str:
    question, (workers, rate) = decision.question, decision.wanted
    return (
        f"Should {question.workers} workers with {question.jobs_per_s:,.4g} jobs/s ({question.source}) have "
        f"an engine each, or go on with one that they share? Objective: {question.objective}, with "
        f"{decision.required_headroom:.0%} of the capacity free: so {workers} workers with {rate:,.4g} "
        "jobs/s must meet it, too."
    )


def _plain(sections: list[tuple[str, list[str]]]) -> list[str]:
    lines = []
    for title, items in sections:
        lines += [f"{title}:", *(f"  {item}" for item in items)]
    return lines


def _evidence(decision: Decision) -> list[tuple[str, list[str]]]:
    """Titles, and what stands below them."""
    sections = [(f"Option {one.option}, {one.profile}", _found(decision, one)) for one in decision.findings]
    one, against = decision.option_one, decision.option_one.against
    memory = [
        f"{mine.name.removeprefix('memory of ')}: option 1 {mine}, option {against} {theirs}"
        for mine, theirs in one.memory
    ]
    memory += list(
        dict.fromkeys(f"{figure.origin}: {figure.source}" for pair in one.memory for figure in pair)
    )
    sections.append(("Memory, without guests", memory))
    sections.append(("Isolation of option 1", list(one.isolation)))
    linear = [
        f"option {line.option}, {line.profile}: sigma {line.sigma:.3g}, kappa {line.kappa:.3g}, "
        f"up to {line.largest:g} workers"
        for line in one.linearity
    ]
    sections.append(("Linearity", [*linear, one.linearity_says]))
    sections.append(("Control plane", [one.control_plane]))
    runs = [
        f"{run.label}: {run.command} ({run.machine}, version {run.version}"
        f"{', all of the cluster on that machine' if run.one_machine else ''}"
        f"{'' if run.complete else ', not complete'})"
        for run in decision.runs
    ]
    sections.append(("Runs", runs or ["none"]))
    return sections


def _found(decision: Decision, finding: Finding) -> list[str]:
    lines = [f"headroom: {headroom(finding.headroom)}", f"{finding.counted} loads count"]
    for curve in finding.curves:
        lines += telling.curve(curve, decision.question.objective)
    return lines


def headroom(found: Headroom) -> str:
    """In words."""
    least = "not known from below" if found.least is None else f"at least {found.least:.0%} ({found.fits})"
    most = "not known from above" if found.most is None else f"less than {found.most:.0%} ({found.breaks})"
    return f"{least}; {most}"

"""Proceed with option 1, an engine in each worker, or stay with the engine that all workers share? Pure.

The rules, in this order; the first one that applies decides:

1. A machine of a worker is not trusted: no. A worker of option 1 sees inputs, journals and secrets of its
   jobs.
2. Jobs are not trusted: yes. A shared engine runs them beside the control plane, or beside all others.
3. For each option with a shared engine, and each kind of jobs, that was measured (or that was asked for):

   - fewer than ``LEAST_LOADS`` measured loads count, or none met the objective: not enough evidence;
   - the load of which the present one leaves ``HEADROOM`` free, or a larger one, met the objective: no;
   - that load, or a smaller one, did not meet it: yes;
   - both: the runs contradict each other; neither: it was not measured. Not enough evidence.

   All must say the same; else there is not enough evidence to decide for all of them at once.

A load counts if ``objective.not_counted`` has nothing against it, nor ``headroom.loads``. Nothing is
interpolated or extrapolated for the verdict. Simulated workers count at a shared engine, which really runs
their guests; in option 1 they show what one control plane bears, which is said beside the verdict and does
not decide.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from mvm_ci.capacity.commands import loadtest, where
from mvm_ci.capacity.curve import SHARED, Curve, Kind, Run, curves
from mvm_ci.capacity.headroom import Headroom, Measured, grown, headroom, leaving_free, loads
from mvm_ci.capacity.objective import Objective
from mvm_ci.capacity.option_one import OptionOne, option_one
from mvm_ci.domain.errors import BadInput

HEADROOM: Final = 0.30
"""Share of the capacity that must be free, or the shared engine is to be left."""
LEAST_LOADS: Final = 3
_DEFAULT_OPTION: Final = 4
_DEFAULT_PROFILE: Final = "wait"


class Verdict(StrEnum):
    """The answer."""

    YES = "yes"
    NO = "no"
    NOT_ENOUGH = "not enough evidence"


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What there is now. ``jobs_per_s``: in all; ``profile`` and ``option``: None: all that were measured
    (``option`` is also that of runs that do not know theirs); ``source``: where workers and rate are from.
    """

    workers: int
    jobs_per_s: float
    objective: Objective
    profile: str | None = None
    option: int | None = None
    untrusted_jobs: bool = False
    untrusted_machines: bool = False
    source: str = "given"


class Missing(msgspec.Struct, frozen=True):
    """What is not known, and the command of the run that would tell."""

    what: str
    command: str


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of one shared engine with one kind of jobs, and what follows. ``headroom``: of the
    present load.
    """

    option: int
    profile: str
    verdict: Verdict
    why: str
    headroom: Headroom
    curves: tuple[Curve, ...]
    counted: int
    missing: Missing | None = None


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A run that was looked at. ``label``: file and day."""

    label: str
    command: str
    machine: str
    one_machine: bool
    version: str
    complete: bool


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The answer with all that it rests on. ``wanted``: the load that must meet the objective: workers and
    jobs a second.
    """

    question: Question
    verdict: Verdict
    why: tuple[str, ...]
    made_ms: int
    wanted: tuple[int, float]
    required_headroom: float = HEADROOM
    findings: tuple[Finding, ...]
    option_one: OptionOne
    missing: tuple[Missing, ...]
    runs: tuple[Source, ...]
    again: tuple[str, ...]


def decide(question: Question, runs: Sequence[Run], made_ms: int) -> Decision:
    """The answer. Raises ``BadInput`` if there is no present load to ask about."""
    if question.workers < 1 or question.jobs_per_s <= 0:
        raise BadInput("a decision needs at least one worker and a rate above 0: give --workers and --rate")
    found = curves(runs, question.objective)
    findings = tuple(
        _finding(question, option, profile, group)
        for (option, profile), group in sorted(_groups(question, found).items())
    )
    verdict, why = _verdict(question, findings)
    missing = tuple(one.missing for one in findings if one.missing is not None)
    if not findings and verdict is Verdict.NOT_ENOUGH:
        missing = (_nothing_measured(question),)
    return Decision(
        question=question,
        verdict=verdict,
        why=why,
        made_ms=made_ms,
        wanted=_wanted(question),
        findings=findings,
        option_one=option_one(found, question.workers, question.jobs_per_s, _stays(question, findings)),
        missing=missing if verdict is Verdict.NOT_ENOUGH else (),
        runs=tuple(_source(run) for run in runs),
        again=_again(verdict, findings),
    )


def _wanted(question: Question) -> tuple[int, float]:
    return grown(question.workers, question.jobs_per_s, HEADROOM)


def _groups(question: Question, found: Iterable[Curve]) -> dict[tuple[int, str], list[Curve]]:
    groups: dict[tuple[int, str], list[Curve]] = {}
    for curve in found:
        option, profile = curve.kind.option or question.option, curve.kind.profile
        if option not in SHARED or question.option not in (None, option):
            continue
        if question.profile in (None, profile):
            groups.setdefault((option, profile), []).append(curve)
    return groups


def _finding(question: Question, option: int, profile: str, group: Sequence[Curve]) -> Finding:
    measured = loads(group)
    verdict, why = _judged(question, measured)
    missing = None
    if verdict is Verdict.NOT_ENOUGH:
        command = _run_for(question, option, profile, [curve.kind for curve in group])
        missing = Missing(f"option {option}, {profile}: {why}", command)
    return Finding(
        option=option,
        profile=profile,
        verdict=verdict,
        why=why,
        headroom=headroom(measured, question.workers, question.jobs_per_s),
        curves=tuple(group),
        counted=len(measured),
        missing=missing,
    )


def _judged(question: Question, measured: Sequence[Measured]) -> tuple[Verdict, str]:
    workers, rate = _wanted(question)
    load = f"{workers} workers with {rate:,.4g} jobs/s"
    if len(measured) < LEAST_LOADS:
        return Verdict.NOT_ENOUGH, f"{len(measured)} loads count; {LEAST_LOADS} are needed"
    if not any(one.met for one in measured):
        least = min(measured, key=lambda one: one.value_ms)
        return Verdict.NOT_ENOUGH, (
            f"no load met {question.objective}, the best one was {least}: "
            "perhaps these jobs take longer, or fail, by themselves"
        )
    at = headroom(measured, workers, rate)
    fits = at.fits if at.least is not None and at.least >= 0 else None
    breaks = at.breaks if at.most is not None and at.most <= 0 else None
    if fits is not None and breaks is not None:
        return Verdict.NOT_ENOUGH, (
            f"the runs contradict each other: {fits} meets {question.objective}, {breaks} does not"
        )
    if fits is not None:
        return Verdict.NO, f"{HEADROOM:.0%} and more are free: {fits} meets {question.objective}"
    if breaks is not None:
        return Verdict.YES, f"less than {HEADROOM:.0%} is free: {breaks} does not meet {question.objective}"
    return (
        Verdict.NOT_ENOUGH,
        f"{load}, of which the present one leaves {HEADROOM:.0%} free, were not measured",
    )


def _verdict(question: Question, findings: Sequence[Finding]) -> tuple[Verdict, tuple[str, ...]]:
    if question.untrusted_machines:
        why = "machines of workers are not trusted: in option 1 they see inputs, journals and secrets of jobs"
        if question.untrusted_jobs:
            why += "; jobs that are not trusted belong on engines on machines of their own: option 3"
        return Verdict.NO, (why,)
    if question.untrusted_jobs:
        return Verdict.YES, ("jobs are not trusted: a shared engine runs them beside all others",)
    whys = tuple(f"option {one.option}, {one.profile}: {one.why}" for one in findings)
    verdicts = {one.verdict for one in findings}
    if len(verdicts) == 1:
        return verdicts.pop(), whys
    if not findings:
        return Verdict.NOT_ENOUGH, ("no load of a shared engine was measured that the question is about",)
    return Verdict.NOT_ENOUGH, (*whys, "they do not agree: say which one it is about, by --option and --jobs")


def _run_for(question: Question, option: int, profile: str, before: Sequence[Kind] = ()) -> str:
    """Of a cluster like those ``before``."""
    workers, rate = _wanted(question)
    return loadtest(
        where(option, before),
        profile=profile,
        workers=(question.workers, workers),
        rates=(question.jobs_per_s, rate),
        objective=question.objective,
        more=("--output", "decide.json"),
    )


def _nothing_measured(question: Question) -> Missing:
    option = question.option if question.option in SHARED else _DEFAULT_OPTION
    profile = question.profile or _DEFAULT_PROFILE
    return Missing(f"option {option}, {profile}: nothing was measured", _run_for(question, option, profile))


def _stays(question: Question, findings: Sequence[Finding]) -> int:
    """The shared option that option 1 is compared with."""
    if question.option in SHARED:
        return question.option or _DEFAULT_OPTION
    return findings[0].option if findings else _DEFAULT_OPTION


def _source(run: Run) -> Source:
    result = run.result
    return Source(
        label=run.label,
        command=result.command,
        machine=f"{result.machine.cores} cores, {result.machine.cpu}, Linux {result.machine.kernel}",
        one_machine=result.machine.shared,
        version=result.cluster.version,
        complete=result.complete,
    )


def _again(verdict: Verdict, findings: Sequence[Finding]) -> tuple[str, ...]:
    if verdict is Verdict.NOT_ENOUGH:
        return ("when the missing run is there",)
    numbers = []
    if verdict is Verdict.NO:
        numbers = [
            f"option {one.option}, {one.profile}: beyond {leaving_free(fits, HEADROOM)}, for which no run "
            f"shows {HEADROOM:.0%} free"
            for one in findings
            if (fits := one.headroom.fits) is not None
        ]
    return (
        *numbers,
        "when jobs of another kind come, or their length changes",
        "when the engine's machine or the version of mvm-ci changes",
        "when jobs, or machines of workers, are no longer trusted",
    )

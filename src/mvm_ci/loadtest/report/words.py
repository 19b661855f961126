"""What is said about results in whole sentences, in every form of the report."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from mvm_ci.capacity.curve import Over, Run
from mvm_ci.capacity.growth import SHORTEST_S
from mvm_ci.capacity.objective import Objective
from mvm_ci.capacity.results import Result, Soak
from mvm_ci.loadtest.report.groups import Group
from mvm_ci.reporting.numbers import counted

_BUSY: Final = 0.5
"""Load of the machine before, by core, that is worth a word."""

UNSEEN: Final = "not looked at"
_NO_ENGINES: Final = (
    "no guest ran, simulated workers only took their time: its knee is that of the control plane, and not of "
    "engines"
)
READING: Final = (
    "Figures are the median of the repetitions; bars and ranges go from the least to the most.",
    "Latency in an open loop counts from when a request was due, in a closed one from when it left.",
    "CPU is in cores; memory is the proportional set size.",
    "Dashed curves are calculated: the Universal Scalability Law, fitted to the points that count.",
    "What is foretold of the last point is by the law without that point.",
    "Hollow points do not count: not steady, jobs failed, too few jobs, or the generator was the limit.",
)


def verdict(runs: Sequence[Run]) -> tuple[str, str]:
    """One line on the whole, and its kind: passed, failed or open."""
    steps = [step for run in runs for step in run.result.steps]
    soaks = [run.result.soak for run in runs if run.result.soak is not None]
    said = [_measured(len(steps), sum(len(step.repetitions) for step in steps))] if steps else []
    said += [soak(one) for one in soaks]
    partial = [partial_words(run.result) for run in runs if not run.result.complete]
    text = "; ".join([*partial, *said]) or "nothing was measured"
    kinds = {soak_kind(one) for one in soaks}
    if "failed" in kinds:
        return text, "failed"
    return text, "open" if partial or not said or "open" in kinds else "passed"


def partial_words(result: Result) -> str:
    """Why a result is not complete."""
    return f"PARTIAL, ended after {took(result.took_s)} ({result.ended_by or 'nobody said why'})"


def soak(found: Soak) -> str:
    """One line on a soak."""
    killed = f"{counted(len(found.losses), 'worker')} killed" if found.losses else ""
    words = [f"{found.submitted:,} jobs in a soak", _lost(found), _doubled(found), killed, _growth(found)]
    return ", ".join(word for word in words if word)


def _lost(found: Soak) -> str:
    if found.lost is None:
        return f"lost ones {UNSEEN}"
    return f"{found.lost:,} LOST" if found.lost else "none lost"


def _doubled(found: Soak) -> str:
    if found.doubled is None:
        return f"effects done twice {UNSEEN}"
    if found.doubled:
        return f"{counted(found.doubled, 'effect')} DONE TWICE"
    return "with no effects that could be done twice" if found.effects == 0 else "no effect done twice"


def _growth(found: Soak) -> str:
    grows = [f"{one.what} of {one.part}" for one in found.grown if not one.within_noise]
    if grows:
        return f"GROWS: {', '.join(grows)}"
    if found.grown:
        return "nothing grows"
    if sum(one.measured_s for one in found.step.repetitions) < SHORTEST_S:
        return f"growth not judged below {SHORTEST_S / 60:.0f} minutes"
    return f"growth {UNSEEN}"


def soak_kind(found: Soak) -> str:
    """passed, failed, or open: no job and no effect is known not to be as it must be, but something else is
    not, or nobody looked.
    """
    if found.broken:
        return "failed"
    grows = any(not one.within_noise for one in found.grown)
    return "open" if grows or found.lost is None or found.doubled is None else "passed"


def conditions(run: Run) -> str:
    """One line on where and when a result was measured."""
    result, machine = run.result, run.result.machine
    began = datetime.fromtimestamp(result.began_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    shared = "generator and cluster on one machine" if machine.shared else "the generator's machine"
    return (
        f"{began}, {took(result.took_s)}; version {result.cluster.version} at {result.cluster.address}; "
        f"{shared}: {machine.cores} cores ({machine.cpu}), {machine.memory_mb:,} MiB, "
        f"Linux {machine.kernel}, Python {machine.python}"
    )


def took(seconds: float) -> str:
    """A time that something took."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def clock(result: Result) -> str:
    """How far the cluster's clock is from the generator's."""
    cluster = result.cluster
    return (
        f"The control plane's clock is {cluster.clock_ahead_ms:+.1f} ms ahead of the generator's, "
        f"give or take {cluster.clock_uncertain_ms:.1f} ms; latencies are by the generator's alone."
    )


def warnings(runs: Sequence[Run], found: Sequence[Group], objective: Objective) -> tuple[str, ...]:
    """What a reader must know before believing the figures."""
    told: list[str] = []
    for run in runs:
        machine = run.result.machine
        if machine.load_average > _BUSY * machine.cores:
            told.append(f"{run.name}: the machine was busy before (load average {machine.load_average:.1f})")
        if run.result.slo and run.result.slo != str(objective):
            told.append(f"{run.name}: was made for {run.result.slo}, and is judged by {objective} here")
    several = Counter(group.profile for group in found)
    for group in found:
        label = group.title if several[group.profile] > 1 else group.profile
        for series in group.series:
            if series.curve.kind.without_engines and series.measured:
                told.append(f"{label}, {series.name}: {_NO_ENGINES}")
            for one in series.measured:
                where = f"{label}, {series.name}, {_where(group, one.at)}"
                if one.why:
                    told.append(f"{where}: {one.why}")
                if one.step.ended_by and one.step.repetitions:
                    told.append(f"{where}: ended early: {one.step.ended_by}")
    told += [note for run in runs for note in run.result.notes]
    return tuple(dict.fromkeys(told))


def _where(group: Group, at: float) -> str:
    if group.over is Over.WORKERS:
        return counted(at, "worker")
    return f"{counted(at, 'request')} a second"


def _measured(steps: int, repetitions: int) -> str:
    return f"{counted(steps, 'load')} measured, {counted(repetitions, 'time')} in all"

"""Curves put together that one plot can show: the same jobs under the same load, a line for each option."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from mvm_ci.capacity.curve import Curve, Kind, Over, Run, curves
from mvm_ci.capacity.objective import DEFAULT, Objective, parse
from mvm_ci.capacity.results import Loop, Step
from mvm_ci.reporting.numbers import counted

_OTHER: Final = 4
"""Colour of what is no option."""


class Measured(msgspec.Struct, frozen=True):
    """A load with all its repetitions. ``why``: it says nothing about the objective, empty: it does."""

    at: float
    step: Step
    why: str = ""


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """A curve with all that was measured on it, in order. ``colour``: the same for an option everywhere."""

    name: str
    colour: int
    curve: Curve
    measured: tuple[Measured, ...]


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """``load``: in words."""

    profile: str
    load: str
    over: Over
    series: tuple[Series, ...]

    @property
    def title(self) -> str:
        """Its name among the others."""
        return f"{self.profile}: {self.load}"

    @property
    def plotted(self) -> bool:
        """Whether there is a curve, and not single loads alone."""
        return any(len(one.measured) > 1 for one in self.series)


def objective_of(runs: Iterable[Run]) -> Objective:
    """The one that runs were made with: the first that names one."""
    given = (run.result.slo for run in runs if run.result.slo)
    return next((parse(text) for text in given), DEFAULT)


def groups(runs: Sequence[Run], objective: Objective) -> tuple[Group, ...]:
    """All curves of some results, those of a profile beside each other."""
    found: dict[tuple[str, str, Over], list[Curve]] = defaultdict(list)
    for curve in curves(runs, objective):
        found[curve.kind.profile, _load(curve.kind), curve.kind.over].append(curve)
    order = list(dict.fromkeys(profile for profile, _, _ in found))
    made = (
        Group(profile=profile, load=load, over=over, series=_series(of, runs))
        for (profile, load, over), of in sorted(found.items(), key=lambda item: order.index(item[0][0]))
    )
    return tuple(group if group.plotted else _alone(group) for group in made)


def _alone(group: Group) -> Group:
    """Where there is no curve, a load is what all workers together were given."""
    first = group.series[0]
    if not first.measured:
        return group
    step = first.measured[0].step
    kind = msgspec.structs.replace(
        first.curve.kind, per_worker=False, load=step.rate if step.loop is Loop.OPEN else step.in_flight
    )
    return msgspec.structs.replace(group, load=_load(kind))


def _series(found: Sequence[Curve], runs: Sequence[Run]) -> tuple[Series, ...]:
    ordered = sorted(found, key=lambda curve: curve.kind.option or 9)
    return tuple(
        Series(
            name=_name(curve, ordered),
            colour=_colour(curve, ordered),
            curve=curve,
            measured=_measured(curve, runs),
        )
        for curve in ordered
    )


def _load(kind: Kind) -> str:
    """What every step of a curve was given."""
    each = " for each worker" if kind.per_worker else ""
    if kind.over is Over.RATE:
        words = f"rates with {counted(kind.workers or 0, 'worker')}, open loop"
    elif kind.loop is Loop.OPEN:
        words = f"{counted(kind.load or 0, 'request')} a second{each}, open loop"
    else:
        words = f"{counted(kind.load or 0, 'request')} at once{each}, closed loop"
    if kind.batch > 1:
        words += f", {kind.batch} jobs in each"
    return f"{words}, simulated workers" if kind.simulated else words


def _name(curve: Curve, beside: Sequence[Curve]) -> str:
    """Its option, and whatever else tells it from those beside it with the same."""
    kind = curve.kind
    same = [one.kind for one in beside if one.kind.option == kind.option]
    words = ["cluster" if kind.option is None else f"option {kind.option}"]
    if len({one.slots for one in same}) > 1:
        words.append(counted(kind.slots, "slot"))
    if len({one.version for one in same}) > 1:
        words.append(kind.version)
    if len({(one.machine, one.one_machine) for one in same}) > 1:
        words.append(f"{kind.machine}{' for all' if kind.one_machine else ''}")
    return ", ".join(words)


def _colour(curve: Curve, beside: Sequence[Curve]) -> int:
    """That of its option; of several of the same option each has one of its own."""
    if len({one.kind.option for one in beside}) < len(beside):
        return beside.index(curve)
    return _OTHER if curve.kind.option is None else curve.kind.option - 1


def _measured(curve: Curve, runs: Sequence[Run]) -> tuple[Measured, ...]:
    """The steps that a curve is made of; those of the same load are put together."""
    why = {left.at: left.why for left in curve.left_out}
    wanted = {point.at for point in curve.points} | set(why)
    found: dict[float, Step] = {}
    for run in runs:
        if run.label not in curve.runs:
            continue
        for step in run.result.steps:
            at = _at(curve.kind, step)
            if at is None or at not in wanted:
                continue
            before = found[at].repetitions if at in found else ()
            found[at] = msgspec.structs.replace(step, repetitions=before + step.repetitions)
    return tuple(Measured(at, step, why.get(at, "")) for at, step in sorted(found.items()))


def _at(kind: Kind, step: Step) -> float | None:
    """Where a step lies on a curve; None: it is not of it."""
    mine = (step.option, step.profile, step.simulated, step.loop, step.batch, step.slots)
    if mine != (kind.option, kind.profile, kind.simulated, kind.loop, kind.batch, kind.slots):
        return None
    load = step.rate if step.loop is Loop.OPEN else step.in_flight
    if not load or step.workers < 1:
        return None
    if kind.over is Over.RATE:
        return float(load) if step.workers == kind.workers else None
    each = float(f"{load / step.workers:.3g}") if kind.per_worker else float(load)
    return float(step.workers) if each == kind.load else None

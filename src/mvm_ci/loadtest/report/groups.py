"""Curves put together that one plot can show: the same jobs under the same load, a line for each option."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import msgspec

from mvm_ci.capacity.curve import Curve, Kind, Over, Run, Steps, curves_with_steps
from mvm_ci.capacity.objective import DEFAULT, Objective, parse
from mvm_ci.capacity.results import Loop, Step
from mvm_ci.reporting.numbers import counted

_OTHER: Final = 4
"""Colour of what is no option."""
_WithSteps: TypeAlias = tuple[Curve, Steps]


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
    found: dict[tuple[str, str, Over], list[_WithSteps]] = defaultdict(list)
    for curve, steps in curves_with_steps(runs, objective):
        found[curve.kind.profile, _load(curve.kind), curve.kind.over].append((curve, steps))
    order = list(dict.fromkeys(profile for profile, _, _ in found))
    made = (
        Group(profile=profile, load=load, over=over, series=_series(of))
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


def _series(found: Sequence[_WithSteps]) -> tuple[Series, ...]:
    ordered = sorted(found, key=lambda one: one[0].kind.option or 9)
    beside = [curve for curve, _ in ordered]
    return tuple(
        Series(
            name=_name(curve, beside),
            colour=_colour(curve, beside),
            curve=curve,
            measured=_measured(curve, steps),
        )
        for curve, steps in ordered
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
    if kind.without_engines:
        words.append("its control plane alone")
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


def _measured(curve: Curve, steps: Steps) -> tuple[Measured, ...]:
    why = {left.at: left.why for left in curve.left_out}
    return tuple(Measured(at, step, why.get(at, "")) for at, step in steps)

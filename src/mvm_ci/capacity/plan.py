"""Which option for what is wanted, why, how large, by which commands, and when to move on. Pure.

Each rule that applies speaks against options:

1. Jobs are not trusted: against 2 and 4, whose engine runs them on the control plane's machine.
2. Machines of workers are not trusted: against 1, whose workers see inputs, journals and secrets.
3. A restart of one machine may not pause all guests: against 2 and 4.
4. Workers are on other machines: against 4, which is one machine's.
5. Kubernetes: against 2 and 4, whose guests all stop when the control plane's pod moves.
6. The load: against 2 and 4, if a load of which the wanted one leaves ``HEADROOM`` free did not meet the
   objective where it was measured; where it was not, if there are more workers, or more jobs a second, than
   the documentation's figures have.

Of the options that nothing speaks against the first one of 4, 2, 1, 3 is taken: that with the fewest parts.
With Kubernetes and more than ``MANY`` workers whose jobs are trusted it is 3. Nothing ever speaks against 3
but that it has more parts, of which not all are shipped.
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from mvm_ci.capacity import documented, option_one
from mvm_ci.capacity.commands import loadtest, where
from mvm_ci.capacity.curve import Curve, Run, curves
from mvm_ci.capacity.decide import HEADROOM, LEAST_LOADS, Missing
from mvm_ci.capacity.headroom import Measured, grown, headroom, leaving_free, loads
from mvm_ci.capacity.objective import Objective
from mvm_ci.capacity.sizes import Figure, Origin, cores, host_memory, total_memory, worker_memory
from mvm_ci.capacity.ways import Way, way

ORDER: Final = (4, 2, 1, 3)
MANY: Final = 20
NOT_SHIPPED: Final = (
    "option 3 is not shipped as a whole: there are no Kubernetes files and no load balancer; there is its "
    "engine, mvm-ci engine (docs/deployment/engine.md)"
)
_ENGINE_SLOTS: Final = 2


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted. ``jobs_per_s``: in all; ``may_pause``: whether the restart of one machine may pause all
    guests (none is lost in any option); ``elsewhere``: workers are on other machines than the control plane;
    ``cores``: of each worker's machine, for guests.
    """

    workers: int
    profile: str
    jobs_per_s: float
    objective: Objective
    kubernetes: bool = False
    untrusted_jobs: bool = False
    untrusted_machines: bool = False
    may_pause: bool = True
    elsewhere: bool = False
    cores: int = 1


class Measure(StrEnum):
    """What is known of an option under the load that must be borne."""

    BEARS = "bears it"
    BREAKS = "does not bear it"
    UNKNOWN = "was not measured"


class Said(msgspec.Struct, frozen=True):
    """What a rule says. ``against``: options."""

    text: str
    against: tuple[int, ...]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. ``said``: by all rules that apply, in order; ``why``: of the chosen option; ``others``:
    what speaks against each of the others; ``wanted``: workers and jobs a second that must meet the
    objective; ``measured``: what runs say of the chosen option under that load; ``curves``: of the chosen
    option with the jobs that are wanted.
    """

    wish: Wish
    option: int
    why: tuple[str, ...]
    said: tuple[Said, ...]
    others: dict[int, tuple[str, ...]]
    wanted: tuple[int, float]
    measured: str
    curves: tuple[Curve, ...]
    sizes: tuple[Figure, ...]
    way: Way
    move_on: tuple[str, ...]
    notes: tuple[str, ...]
    missing: Missing | None
    runs: tuple[str, ...]


def plan(wish: Wish, runs: Sequence[Run]) -> Plan:
    """The answer to a wish; ``runs`` may be none."""
    found = curves(runs, wish.objective)
    said = _rules(wish, found)
    option = _chosen(wish, said)
    measure, text = _measured(wish, found, option)
    sizes = _sizes(wish, found, option)
    return Plan(
        wish=wish,
        option=option,
        why=_why(wish, option, said, found),
        said=said,
        others={other: _against(other, option, said) for other in sorted(ORDER) if other != option},
        wanted=_wanted(wish),
        measured=text,
        curves=_curves(wish, found, option),
        sizes=sizes,
        way=way(option, wish.workers, _slots(wish, option, sizes), elsewhere=wish.elsewhere),
        move_on=_move_on(wish, found, option),
        notes=_notes(wish, found, option),
        missing=_missing(wish, found, option) if measure is Measure.UNKNOWN else None,
        runs=tuple(run.label for run in runs),
    )


def _wanted(wish: Wish) -> tuple[int, float]:
    return grown(wish.workers, wish.jobs_per_s, HEADROOM)


def _rules(wish: Wish, found: Sequence[Curve]) -> tuple[Said, ...]:
    said = []
    if wish.untrusted_jobs:
        said.append(Said("jobs are not trusted; these run them on the control plane's machine", (2, 4)))
    if wish.untrusted_machines:
        said.append(
            Said("machines of workers are not trusted; there they see inputs, journals and secrets", (1,))
        )
    if not wish.may_pause:
        said.append(Said("a restart of the control plane stops all guests there, until it is back", (2, 4)))
    if wish.elsewhere:
        said.append(Said("workers are on other machines; its workers are containers of one", (4,)))
    if wish.kubernetes:
        said.append(
            Said("Kubernetes moves pods; all guests stop when that of the control plane moves", (2, 4))
        )
    for option in documented.MOST_WORKERS:
        text = _too_much(wish, found, option)
        said += [Said(text, (option,))] if text else []
    return tuple(said)


def _too_much(wish: Wish, found: Sequence[Curve], option: int) -> str:
    """Why the load is too much for an engine at the control plane; empty if it is not."""
    measure, text = _measured(wish, found, option)
    if measure is not Measure.UNKNOWN:
        return text if measure is Measure.BREAKS else ""
    most, rate = documented.MOST_WORKERS[option], documented.JOBS_PER_S[option].get(wish.profile)
    if wish.workers > most:
        return f"{wish.workers} workers are over its limit of {most} ({documented.LIMITS[option]}); {text}"
    if rate is not None and _wanted(wish)[1] > rate:
        return f"it did {rate:,.4g} {wish.profile} jobs/s ({documented.WHERE}); {text}"
    return ""


def _measured(wish: Wish, found: Sequence[Curve], option: int) -> tuple[Measure, str]:
    """What runs say of an option under the load that is wanted with its headroom."""
    workers, rate = _wanted(wish)
    load = f"{workers} workers with {rate:,.4g} jobs/s, of which that leaves {HEADROOM:.0%} free"
    measured = _loads(wish, found, option)
    at = headroom(measured, workers, rate)
    fits = at.fits if at.least is not None and at.least >= 0 else None
    breaks = at.breaks if at.most is not None and at.most <= 0 else None
    enough = len(measured) >= LEAST_LOADS and at.fits is not None
    if enough and fits is not None and breaks is None:
        return Measure.BEARS, f"measured: {fits} meets {wish.objective} ({'; '.join(fits.runs)})"
    if enough and breaks is not None and fits is None:
        return Measure.BREAKS, f"measured: {breaks} does not meet {wish.objective} ({'; '.join(breaks.runs)})"
    return Measure.UNKNOWN, f"{load}, were not measured with {wish.profile} jobs"


def _curves(wish: Wish, found: Sequence[Curve], option: int) -> tuple[Curve, ...]:
    return tuple(
        curve for curve in found if (curve.kind.option, curve.kind.profile) == (option, wish.profile)
    )


def _loads(wish: Wish, found: Sequence[Curve], option: int) -> tuple[Measured, ...]:
    return loads(curve for curve in _curves(wish, found, option) if not curve.kind.without_engines)


def _chosen(wish: Wish, said: Sequence[Said]) -> int:
    refused = {option for one in said for option in one.against}
    many = wish.kubernetes and wish.workers > MANY and not wish.untrusted_jobs
    order = (3, *ORDER) if many else ORDER
    return next(option for option in order if option not in refused)


def _why(wish: Wish, option: int, said: Sequence[Said], found: Sequence[Curve]) -> tuple[str, ...]:
    whys = {
        4: "nothing speaks against it, and it has the fewest parts: containers of one machine, one script",
        2: "workers elsewhere need nothing but the ticket and one UDP port, no memory for guests",
        1: "each worker adds its own cores, and shares no engine with others",
        3: "engines apart from both the control plane and the workers, as many as are needed",
    }
    spoke = [f"not {' or '.join(str(one) for one in one_said.against)}: {one_said.text}" for one_said in said]
    text = _measured(wish, found, option)[1]
    return (*spoke, f"{option}: {whys[option]}", text)


def _against(option: int, chosen: int, said: Sequence[Said]) -> tuple[str, ...]:
    texts = tuple(one.text for one in said if option in one.against)
    if option == 3:
        return (*texts, NOT_SHIPPED)
    if texts:
        return texts
    if chosen == 3:
        return (f"more than {MANY} workers on Kubernetes: engines there grow apart from workers",)
    return (f"nothing but that option {chosen} has fewer parts",)


def _sizes(wish: Wish, found: Sequence[Curve], option: int) -> tuple[Figure, ...]:
    of_profile = [curve for curve in found if curve.kind.profile == wish.profile]
    sizes = [
        worker_memory(of_profile, option, wish.workers),
        host_memory(of_profile, option, wish.workers),
        total_memory(of_profile, option, wish.workers),
    ]
    for part in ("workers", "control-plane") if option == 1 else ("engine", "workers"):
        needed = cores(of_profile, option, wish.workers, wish.jobs_per_s, part=part, free=HEADROOM)
        sizes += [] if needed is None else [needed]
    if option == 3:
        sizes += _engines(wish, found)
    disk = Figure(
        name="disk", value=documented.DISK_MB, unit="MiB", origin=Origin.DOCUMENTED, source=documented.DISK
    )
    return (*sizes, disk)


def _engines(wish: Wish, found: Sequence[Curve]) -> list[Figure]:
    """How many of them, each with a load that one bore; none if that was not measured."""
    workers, rate = _wanted(wish)
    fits = headroom(_loads(wish, found, 3), workers, rate).fits
    if fits is None:
        return []
    return [
        Figure(
            name="engines",
            value=math.ceil(max(workers / fits.workers, rate / fits.jobs_per_s)),
            unit="",
            origin=Origin.ESTIMATED,
            source=f"one for each {fits} ({'; '.join(fits.runs)})",
        )
    ]


def _slots(wish: Wish, option: int, sizes: Sequence[Figure]) -> int:
    """Of each worker in option 1, else of the engine: more slots than cores make nothing faster."""
    if option == 1:
        return wish.cores
    needed = next((one.value for one in sizes if one.name == "cores of the engine"), _ENGINE_SLOTS)
    return max(1, math.ceil(round(needed, 9)))


def _move_on(wish: Wish, found: Sequence[Curve], option: int) -> tuple[str, ...]:
    if option == 1:
        return (
            "more workers than one control plane bears: "
            + option_one.control_plane(found, wish.workers, wish.jobs_per_s),
            "machines of workers that are no longer trusted: to option 3",
        )
    if option == 3:
        return (
            f"less than {HEADROOM:.0%} of the engines is free: one engine more",
            "jobs that are not trusted: to option 1",
        )
    fits = headroom(_loads(wish, found, option), wish.workers, wish.jobs_per_s).fits
    most = documented.MOST_WORKERS[option]
    numbers = f"more than {most} workers ({documented.LIMITS[option]}); the rate was not measured"
    if fits is not None and _measured(wish, found, option)[0] is Measure.BEARS:
        numbers = f"more than {leaving_free(fits, HEADROOM)}: beyond that no run shows {HEADROOM:.0%} free"
    events = "jobs that are not trusted, or a restart of the control plane that may not stop all guests"
    return (
        f"{numbers}: ask mvm-ci decide",
        f"{events}: to option 1 (docs/deployment/moving.md)",
    )


def _notes(wish: Wish, found: Sequence[Curve], option: int) -> tuple[str, ...]:
    notes = [option_one.control_plane(found, wish.workers, wish.jobs_per_s)] if option != 1 else []
    if option == 3:
        notes.append(NOT_SHIPPED)
        if wish.untrusted_jobs:
            notes.append("jobs that are not trusted share an engine here: give each owner one of their own")
    if wish.kubernetes and option == 1:
        notes.append(
            "deploy/ has no Kubernetes files: Dockerfile.control-plane and Dockerfile.worker build images; "
            "workers need the control plane's UDP port, from anywhere"
        )
    if not found:
        notes.append("no curve was measured: give --results FILE; make one with the load test below")
    return tuple(notes)


def _missing(wish: Wish, found: Sequence[Curve], option: int) -> Missing:
    workers, rate = _wanted(wish)
    before = [curve.kind for curve in _curves(wish, found, option) if not curve.kind.without_engines]
    command = loadtest(
        where(option, before),
        profile=wish.profile,
        workers=(wish.workers, workers),
        rates=(wish.jobs_per_s, rate),
        objective=wish.objective,
        more=("--output", "plan.json"),
    )
    return Missing(f"option {option} with {workers} workers and {rate:,.4g} jobs/s was not measured", command)

"""What option 1 would cost and gain against a shared engine. Pure."""

from collections.abc import Sequence
from typing import Final

import msgspec

from mvm_ci.capacity.curve import Curve
from mvm_ci.capacity.headroom import headroom, loads
from mvm_ci.capacity.sizes import Figure, total_memory, worker_memory

ISOLATION: Final = (
    "guests of all jobs share nothing but their worker, not the control plane's machine",
    "an engine is lost with its worker alone; a lost control plane stops no guest that needs nothing of it",
    "a worker sees the inputs, journals and secrets of its jobs, which a worker of a shared engine does not",
)
"""Of docs/deployment/DEPLOYMENT_STRATEGY.md."""


class Linearity(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of the fitted law, of one option. If generator and workers shared ``one_machine`` they
    say nothing about workers on machines of their own.
    """

    option: int
    profile: str
    lambda_: float = msgspec.field(name="lambda")
    sigma: float
    kappa: float
    peak: float | None
    error: float | None
    largest: float
    one_machine: bool


class OptionOne(msgspec.Struct, frozen=True, kw_only=True):
    """``against``: the option that it is compared with; ``memory``: of a worker and in all, of option 1 and
    then of that; ``linearity``: none: it was not measured; ``control_plane``: what is known of the control
    plane's limit.
    """

    against: int
    memory: tuple[tuple[Figure, Figure], ...]
    isolation: tuple[str, ...] = ISOLATION
    linearity: tuple[Linearity, ...]
    linearity_says: str
    control_plane: str


def option_one(curves: Sequence[Curve], workers: int, jobs_per_s: float, against: int) -> OptionOne:
    """The comparison for a load."""
    linear = tuple(
        Linearity(
            option=curve.kind.option,
            profile=curve.kind.profile,
            lambda_=curve.fit.lambda_,
            sigma=curve.fit.sigma,
            kappa=curve.fit.kappa,
            peak=curve.fit.peak,
            error=curve.fit.error,
            largest=curve.fit.largest,
            one_machine=curve.kind.one_machine,
        )
        for curve in curves
        if curve.fit is not None and curve.kind.option in (1, against) and not curve.kind.simulated
    )
    return OptionOne(
        against=against,
        memory=(
            (worker_memory(curves, 1, workers), worker_memory(curves, against, workers)),
            (total_memory(curves, 1, workers), total_memory(curves, against, workers)),
        ),
        linearity=linear,
        linearity_says=_linearity(linear, against),
        control_plane=control_plane(curves, workers, jobs_per_s),
    )


def control_plane(curves: Sequence[Curve], workers: int, jobs_per_s: float) -> str:
    """What simulated workers with engines of their own showed of the control plane's limit."""
    at = headroom(
        loads(curve for curve in curves if curve.kind.option == 1 and curve.kind.simulated),
        workers,
        jobs_per_s,
    )
    if at.most is not None and at.most <= 0:
        return f"one control plane does not bear this load: {at.breaks} was too much, with any option"
    if at.least is not None and at.least >= 0:
        return f"one control plane bears this load: {at.fits} met the objective"
    return "how many workers one control plane bears was not measured at this load"


def _linearity(linear: Sequence[Linearity], against: int) -> str:
    if {one.option for one in linear} != {1, against}:
        return (
            f"not measured: it needs closed-loop ramps of workers, of options 1 and {against}, "
            "with at least 3 different numbers of workers each"
        )
    if any(one.one_machine for one in linear):
        return (
            "no evidence: generator, control plane and all workers shared one machine, so that workers of "
            "option 1 added no cores"
        )
    return "sigma: work that is done in turn; kappa: what each pair of workers costs. Less is more linear"

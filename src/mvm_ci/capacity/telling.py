"""Curves and their knees in words. Pure."""

from mvm_ci.capacity.curve import Curve, Over
from mvm_ci.capacity.objective import Objective
from mvm_ci.capacity.results import Loop


def load(curve: Curve) -> str:
    """What all its points have in common."""
    kind = curve.kind
    unit = "requests/s" if kind.loop is Loop.OPEN else "requests at once"
    simulated = "simulated workers, " if kind.simulated else ""
    if kind.without_engines:
        simulated = "simulated workers that run no guests (the limit is the control plane's), "
    if kind.over is Over.RATE:
        return f"{simulated}{kind.workers} workers, {kind.slots} slots, growing rate"
    whose = "of each worker" if kind.per_worker else "in all"
    batch = "" if kind.batch == 1 else f" of {kind.batch} jobs"
    return f"{simulated}{kind.slots} slots, {kind.load:g} {unit}{batch} {whose}"


def curve(one: Curve, objective: Objective) -> tuple[str, ...]:
    """All that is known of it; each a line."""
    laws = () if one.fit is None else (law(one),)
    return (f"{load(one)}: {knee(one, objective)}", *laws, *left_out(one))


def up_to(curve: Curve) -> str:
    """Up to where a curve meets its objective, in a word or two: ``50``, ``at least 100``, ``below 1``, or
    ``unknown`` if no point counts.
    """
    found, unit = curve.knee, "" if curve.kind.over is Over.WORKERS else "/s"
    if not curve.points:
        return "unknown"
    if found.last is None:
        return f"below {curve.points[0].at:,g}{unit}"
    return f"{'' if found.found else 'at least '}{found.last:,g}{unit}"


def knee(curve: Curve, objective: Objective) -> str:
    """The same in a sentence."""
    found, unit = curve.knee, "workers" if curve.kind.over is Over.WORKERS else "requests/s"
    if not curve.points:
        return "no point counts"
    if found.last is None:
        return f"not even {found.next_:g} {unit} meet {objective}"
    done = f"{found.last:g} {unit} meet {objective}, with {found.last_jobs_per_s:,.4g} jobs/s"
    if not found.found:
        return f"at least {done}: the ramp ended there"
    between = "" if found.between is None else f" (interpolated: {found.between:,.4g})"
    return f"{done}; {found.next_:g} do not{between}"


def law(curve: Curve) -> str:
    """Its fit."""
    fit = curve.fit
    if fit is None:
        return f"no law fitted: {curve.no_fit}"
    peak = "none"
    if fit.peak is not None:
        peak = f"{fit.peak:,.4g}" + (" (extrapolated)" if fit.extrapolated(fit.peak) else "")
    text = f"lambda {fit.lambda_:,.4g} jobs/s, sigma {fit.sigma:.3g}, kappa {fit.kappa:.3g}, peak {peak}"
    text += "" if fit.error is None else f", error {fit.error:.1%}"
    held = curve.largest_held_back
    if held is not None:
        text += f"; without its last point it foretells that by {held.error:.1%}"
    return text


def left_out(curve: Curve) -> tuple[str, ...]:
    """The points that do not count, and why; those for one reason together."""
    reasons: dict[str, list[str]] = {}
    for one in curve.left_out:
        reasons.setdefault(one.why, []).append(f"{one.at:g}")
    unit = "workers" if curve.kind.over is Over.WORKERS else "requests/s"
    return tuple(f"{', '.join(at)} {unit} not counted: {why}" for why, at in reasons.items())

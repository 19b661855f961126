"""Whether the generator was itself the limit, and whether the cluster kept up with an open loop. Pure."""

import math
from typing import Final

import msgspec

BUSY_CORES: Final = 0.9
_SHARE: Final = 0.2
"""Of the p99 latency: what the generator adds itself beyond this spoils it."""
_LEAST_MS: Final = 2.0
"""Below this, timers and other processes explain it."""
_SUSTAINED: Final = 0.95
_CHANCE: Final = 4
"""Standard deviations of a Poisson process."""


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """How the generator was doing. ``lag_p99_ms``: of its event loop; ``wanted``: connections at once, 0: as
    many as are needed; ``connections``: that it may have.
    """

    p99_ms: float
    late_p99_ms: float
    lag_p99_ms: float
    cpu_cores: float
    wanted: int
    connections: int


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of an open loop. ``rate``: asked for, a second; ``grown``: by so many more were under way at
    the end than at the beginning; ``owed``: never left; ``unanswered``: left, and were given up; ``held_s``:
    for how long none could leave because ``most`` were under way.
    """

    rate: float
    span_s: float
    grown: int
    owed: int
    unanswered: int
    held_s: float
    most: int


def bottleneck(own: Own) -> str:
    """Why the generator was the limit, or nothing."""
    allowed = max(_LEAST_MS, _SHARE * own.p99_ms)
    found = []
    if own.cpu_cores >= BUSY_CORES:
        found.append(f"the generator used {own.cpu_cores:.2f} cores, and one is all it can use")
    if own.late_p99_ms > allowed:
        found.append(f"1 of 100 requests left {own.late_p99_ms:.3g} ms late or more")
    if own.lag_p99_ms > allowed:
        found.append(f"answers waited up to {own.lag_p99_ms:.3g} ms (p99) before the generator read them")
    if own.wanted > own.connections:
        found.append(
            f"the generator may open {own.connections} connections, and not {own.wanted}: raise its limit of "
            "open files (ulimit -n)"
        )
    return "; ".join(found)


def overload(flow: Flow) -> str:
    """Why the rate was not sustained, or nothing. A queue that grows by less than chance explains, or than a
    twentieth of all that came, is none.
    """
    came = flow.rate * flow.span_s
    behind = flow.grown + flow.owed
    if flow.held_s == 0 and behind <= max((1 - _SUSTAINED) * came, _CHANCE * math.sqrt(came)):
        return ""
    told = f"rate not sustained: {flow.rate:g} requests a second were asked for in {flow.span_s:.3g} s"
    if flow.grown > 0:
        told += f", {flow.grown} more were under way at the end than at the beginning"
    if flow.held_s:
        told += f", for {flow.held_s:.3g} s none could leave because {flow.most} were under way"
    if flow.owed:
        told += f", {flow.owed} never left"
    if flow.unanswered:
        told += f", {flow.unanswered} had no answer when they were given up"
    return told

"""The commands of load tests that would measure what is missing. Pure."""

import math
import shlex
from collections.abc import Sequence
from typing import Final

from mvm_ci.capacity.curve import Kind
from mvm_ci.capacity.objective import Objective

BUILT_IN: Final = ("noop", "wait", "http", "cpu", "memory", "flow", "mixed")
"""Kinds of jobs that need no file."""
_REPETITIONS: Final = 3
_USUAL_S: Final = 10


def where(option: int, before: Sequence[Kind]) -> tuple[str, ...]:
    """The arguments that name a cluster like those that were measured before, of this option: one that ran,
    or one on this machine.
    """
    local = [one for one in before if one.cluster == "local"]
    if before and not local:
        return ()
    words = ["--local", "--option", str(option)]
    words += ["--simulated"] if local and all(one.simulated for one in local) else []
    slots = sorted({one.slots for one in local})
    words += ["--slots", str(slots[0])] if len(slots) == 1 and slots[0] > 1 else []
    return tuple(words)


def loadtest(
    cluster: Sequence[str],
    *,
    profile: str,
    workers: Sequence[int],
    rates: Sequence[float],
    objective: Objective,
    more: Sequence[str],
) -> str:
    """One that measures these loads, each long enough for the objective. ``cluster``: of ``where``;
    ``more``: arguments.
    """
    words = ["mvm-ci", "loadtest", *cluster]
    words += ["--jobs", profile] if profile in BUILT_IN else ["--jobs-file", f"{profile}.toml"]
    words += ["--workers", ",".join(str(one) for one in sorted(set(workers)))]
    words += ["--rate", ",".join(f"{one:.10g}" for one in sorted(set(rates)))]
    seconds = math.ceil(1.2 * objective.least_jobs / (min(rates) * _REPETITIONS))
    words += ["--measure", f"{seconds}s"] if seconds > _USUAL_S else []
    return shlex.join([*words, "--slo", str(objective), *more])

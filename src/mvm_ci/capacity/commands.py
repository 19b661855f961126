"""The commands of load tests that would measure what is missing. Pure."""

import math
import shlex
from collections.abc import Sequence
from typing import Final

from mvm_ci.capacity.objective import Objective

BUILT_IN: Final = ("noop", "wait", "http", "cpu", "memory", "flow", "mixed")
"""Kinds of jobs that need no file."""
_REPETITIONS: Final = 3
_USUAL_S: Final = 10


def loadtest(
    *,
    option: int | None,
    profile: str,
    workers: Sequence[int],
    rates: Sequence[float] = (),
    objective: Objective,
    more: Sequence[str] = (),
) -> str:
    """One that measures these loads, each long enough for the objective. ``option``: None: of the cluster
    that runs; ``rates``: none: as fast as one request at a time for each worker goes.
    """
    words = ["mvm-ci", "loadtest"]
    words += [] if option is None else ["--local", "--option", str(option)]
    words += ["--jobs", profile] if profile in BUILT_IN else ["--jobs-file", f"{profile}.toml"]
    words += ["--workers", ",".join(str(one) for one in sorted(set(workers)))]
    if rates:
        words += ["--rate", ",".join(f"{one:.10g}" for one in sorted(set(rates)))]
        seconds = math.ceil(1.2 * objective.least_jobs / (min(rates) * _REPETITIONS))
        words += ["--measure", f"{seconds}s"] if seconds > _USUAL_S else []
    return shlex.join([*words, "--slo", str(objective), *more])

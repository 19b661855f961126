"""Runs workloads, prints a Markdown table and writes ``build/bench/latest.json``.

``python -m benchmarks [WORKLOAD ...]``: all of them, or these alone (then the file is ``part.json``). All
processes and the client share this machine's cores. ``QUICK=1``: fewer jobs and one run, to see that the
benchmarks work; its figures mean nothing.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from benchmarks import (
    durable,
    engine,
    generator,
    idle,
    metrics_cost,
    options,
    python_job,
    rss,
    sleepers,
    w1,
    w1_single,
    w2,
    w3,
    w4,
    w5,
)
from benchmarks.client import RequestFailed
from benchmarks.report import conditions, markdown
from benchmarks.workload import ROOT, Measured, cluster
from mvm_ci.domain.errors import MvmCiError
from mvm_ci.testing.cluster import ClusterFailed

OUTPUT: Final = ROOT / "build" / "bench"
SHARED: Final[dict[str, Callable[..., Measured]]] = {
    "rss": rss.measure,  # first: of fresh processes
    "w1": w1.measure,
    "w1_single": w1_single.measure,
    "w2": w2.measure,
    "w3": w3.measure,
    "durable": durable.measure,
    "python_job": python_job.measure,
}
"""Workloads that take turns on one cluster."""
ALONE: Final[dict[str, Callable[..., Measured]]] = {
    "w4": w4.measure,
    "w5": w5.measure,
    "idle": idle.measure,
    "metrics": metrics_cost.measure,
    "generator": generator.measure,
    "sleepers": sleepers.measure,
    "engine": engine.measure,
    "options": options.measure,
}
"""Workloads with clusters of their own."""
RUNS: Final = 3


def main(arguments: list[str]) -> int:
    """0, or 1 with the reason."""
    known = (*SHARED, *ALONE)
    unknown = [name for name in arguments if name not in known]
    if unknown:
        print(f"no workload {unknown[0]!r}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    quick = bool(os.environ.get("QUICK"))
    runs = 1 if quick else RUNS
    try:
        found = dict(measure(arguments or known, runs, quick=quick))
    except (ClusterFailed, RequestFailed, MvmCiError, TimeoutError, RuntimeError) as error:
        print(f"failed: {error}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 1
    machine = conditions(quick=quick, runs=runs)
    print(markdown(found, machine))
    target = OUTPUT / ("part.json" if arguments else "latest.json")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(record(found, machine), indent=2) + "\n")
    print(f"\nwritten to {target.relative_to(ROOT)}")
    return 0


def measure(names: Sequence[str], runs: int, *, quick: bool) -> Iterator[tuple[str, Measured]]:
    """Each workload's name and figures, as it ends."""
    shared = [name for name in SHARED if name in names]
    with contextlib.ExitStack() as stack:
        bench = stack.enter_context(cluster()) if shared else None
        for name in shared:
            yield name, _timed(name, lambda name=name: SHARED[name](bench, runs, quick=quick))  # type: ignore[misc]
    for name in ALONE:
        if name in names:
            yield name, _timed(name, lambda name=name: ALONE[name](runs, quick=quick))  # type: ignore[misc]


def _timed(name: str, run: Callable[[], Measured]) -> Measured:
    began = time.monotonic()
    measured = run()
    shown = ", ".join(f"{key} {value:,.4g}" for key, value in measured.medians.items())
    print(f"{name} ({time.monotonic() - began:.0f} s): {shown}", file=sys.stderr, flush=True)
    return measured


def record(found: dict[str, Measured], machine: dict[str, Any]) -> dict[str, Any]:
    """What the file holds: the medians at the top, all runs and conditions below."""
    made: dict[str, Any] = {}
    for measured in found.values():
        made |= measured.medians
    made["runs"] = {key: values for measured in found.values() for key, values in measured.figures.items()}
    made["profile_us_per_job"] = {part: us for one in found.values() for part, us in one.profile.items()}
    made["workloads"] = {name: measured.conditions for name, measured in found.items()}
    made["conditions"] = machine
    return made


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

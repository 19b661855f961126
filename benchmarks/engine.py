"""The engine alone: each probe in a process of its own. See ``engine_probe``."""

import json
import subprocess
import sys

from benchmarks.engine_probe import PROBES
from benchmarks.workload import ROOT, Measured

_LONGEST_S = 300


def measure(runs: int, *, quick: bool) -> Measured:
    figures: dict[str, list[float]] = {}
    for _ in range(runs):
        for name in PROBES:
            for key, value in _probe(name, quick=quick).items():
                figures.setdefault(key, []).append(value)
    return Measured(
        figures,
        "one engine in one process, microseconds of its thread's CPU: a no-op C guest, and the same by the "
        "wasmtime package's own interface; a host call that nothing records (20,000 in a guest), one that "
        "is journaled; replay of journals of clock readings, for each entry; C guests suspended in a sleep, "
        "growth of anonymous memory for each; a guest's steps of 2 ms of sleep (99th percentile, from one "
        "sleep to the next) alone, and beside one that computes for ever; how long stopping that takes; a "
        "Python guest that gives 200 bytes of input back, the shortest of 500 runs, and its page faults",
    )


def _probe(name: str, *, quick: bool) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.engine_probe", name, *(["QUICK"] if quick else [])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_LONGEST_S, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the probe {name} failed: {done.stderr.strip()[-2000:]}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures

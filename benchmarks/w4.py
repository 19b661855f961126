"""W4: what a large backlog costs the jobs that go before it."""

import statistics
import time

from benchmarks.workload import EXAMPLES, GUESTS, INPUT, Bench, Measured, cluster, times

JOBS = 20_000
SCHEDULED, LOW = 1_000_000, 100_000
A_REQUEST = 10_000
_IN_S = 3_600


def measure(runs: int, *, quick: bool) -> Measured:
    jobs, scheduled, low = (1_000, 20_000, 2_000) if quick else (JOBS, SCHEDULED, LOW)
    with cluster() as bench:
        noop = bench.c_module(EXAMPLES / "noop.c")
        sleep = bench.c_module(GUESTS / "sleep.c")
        _rate(bench, noop, 1_000)
        without = times(runs, lambda: _rate(bench, noop, jobs))
        later = round((time.time() + _IN_S) * 1000)
        _submit(bench, noop, scheduled, run_at_ms=later)
        _submit(bench, sleep, low, priority=1)
        _rate(bench, noop, 1_000)
        behind = times(runs, lambda: _rate(bench, noop, jobs))
        with bench.client() as client:
            left = bench.counts(client)
    base = statistics.median(without)
    return Measured(
        {
            "w4_kept_rate": [rate / base for rate in behind],
            "w4_jobs_per_s": behind,
            "w4_jobs_per_s_without": without,
        },
        f"{jobs:,} no-op jobs, 100 a request, all submitted at once; first submit to last completion; "
        f"with {scheduled:,} jobs scheduled in an hour and {low:,} jobs of 20 ms of priority 1 behind "
        f"({left.get('scheduled', 0):,} and {left.get('pending', 0):,} left at the end), over the same "
        "without them",
    )


def _submit(bench: Bench, module: str, jobs: int, **options: int) -> None:
    size = min(A_REQUEST, jobs)
    request = bench.submission(module, [INPUT] * size, wait_s=0, **options)
    for _ in range(jobs // size):
        bench.load([request], 1)


def _rate(bench: Bench, module: str, jobs: int) -> float:
    """Jobs per second. All are submitted at once: else the backlog would fill the gaps, as it should."""
    return bench.rate(module, jobs, 100, jobs // 100)

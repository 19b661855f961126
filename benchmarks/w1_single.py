"""W1, one job a request."""

from benchmarks.workload import EXAMPLES, Bench, Measured, times

JOBS = 20_000
CONNECTIONS = 64


def measure(bench: Bench, runs: int, *, quick: bool) -> Measured:
    jobs = 1_000 if quick else JOBS
    noop = bench.c_module(EXAMPLES / "noop.c")
    bench.rate(noop, 1_000, 1, CONNECTIONS)
    rates = times(runs, lambda: bench.rate(noop, jobs, 1, CONNECTIONS))
    return Measured(
        {"w1_single_jobs_per_s": rates},
        f"{jobs:,} no-op jobs, one a request, {CONNECTIONS} connections; 2 workers of 1 runner; durable",
    )

"""W1: many no-op jobs in batches, and where the CPU time of one goes."""

import time

from benchmarks.processes import cpu_by_part
from benchmarks.workload import EXAMPLES, Bench, Measured

JOBS, MANY = 5_000, 50_000


def measure(bench: Bench, runs: int, *, quick: bool) -> Measured:
    jobs, many = (1_000, 2_000) if quick else (JOBS, MANY)
    noop = bench.c_module(EXAMPLES / "noop.c")
    bench.rate(noop, 1_000)
    figures: dict[str, list[float]] = {"w1_jobs_per_s": [], "w1_50k_jobs_per_s": []}
    before, own = cpu_by_part(bench.cluster), time.process_time()
    for _ in range(runs):
        figures["w1_jobs_per_s"].append(bench.rate(noop, jobs))
        figures["w1_50k_jobs_per_s"].append(bench.rate(noop, many))
    after = cpu_by_part(bench.cluster)
    total = runs * (jobs + many)
    profile = {part: (spent - before.get(part, 0.0)) / total * 1e6 for part, spent in after.items()}
    profile["client"] = (time.process_time() - own) / total * 1e6
    return Measured(
        figures,
        f"{jobs:,} and {many:,} no-op jobs of a C guest, 200 bytes in, 64 out, 100 a request, 8 connections; "
        "2 workers of 1 runner; first submit to last completion, durable",
        profile,
    )

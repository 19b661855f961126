"""W2: one job submitted and waited for in one request, again and again, on an idle system."""

import statistics
import time

from benchmarks.client import check_completed
from benchmarks.workload import EXAMPLES, INPUT, Bench, Measured

JOBS = 200
REST_S = 0.004
"""Between two requests: idle is the case that the figure is about."""


def measure(bench: Bench, runs: int, *, quick: bool) -> Measured:
    jobs = 30 if quick else JOBS
    p50, p99 = [], []
    noop = bench.c_module(EXAMPLES / "noop.c")
    request, one = bench.submission(noop, [INPUT])
    with bench.client() as client:
        for _ in range(runs):
            took = []
            for _ in range(jobs):
                began = time.perf_counter()
                body = client.send(request)
                took.append((time.perf_counter() - began) * 1000)
                check_completed(body, one)
                time.sleep(REST_S)
            p50.append(statistics.median(took))
            p99.append(statistics.quantiles(took, n=100)[98])
    return Measured(
        {"w2_p50_ms": p50, "w2_p99_ms": p99},
        f"{jobs} times one no-op job submitted over HTTP and waited for, "
        f"{REST_S * 1000:g} ms between two; durable",
    )

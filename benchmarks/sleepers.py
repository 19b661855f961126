"""Many jobs that sleep: what they cost in memory, and how late they wake."""

import statistics
import time
from collections.abc import Sequence

from benchmarks.client import Client
from benchmarks.processes import family, memory_mb
from benchmarks.workload import GUESTS, Bench, Measured, cluster, until

JOBS = 100_000
SPREAD_S = 120
A_REQUEST = 1_000
PAGE = 1_000
_P99 = 99


def measure(runs: int, *, quick: bool) -> Measured:
    """One run takes some five minutes: one is enough, if it is not a quick one."""
    del runs
    jobs, spread_s = (1_000, 5) if quick else (JOBS, SPREAD_S)
    with cluster(workers=("worker-1",)) as bench:
        module = bench.c_module(GUESTS / "sleep_until.c", given=0)
        before = _memory(bench)
        # All are asleep before the first is due.
        due = time.time() + 10 + jobs / 1_000
        for at in range(0, jobs, A_REQUEST):
            dues = [round((due + spread_s * n / jobs) * 1000) for n in range(at, at + A_REQUEST)]
            bench.load([bench.submission(module, dues, wait_s=0)], 1)
        with bench.client() as client:
            until("all sleep", lambda: _suspended(bench, client) == jobs, jobs / 500 + 30, 0.2)
            asleep_s = due - time.time()
            growth = _memory(bench) - before
            done = bench.counts(client).get("completed", 0)
            until("all have woken", lambda: not _suspended(bench, client), spread_s + 300, 0.5)
            until("all end", lambda: bench.counts(client)["completed"] >= done + jobs, 120, 0.2)
            late = _lateness(client, module, jobs)
    if asleep_s < 0:
        raise RuntimeError(f"the last job went to sleep {-asleep_s:.0f} s after the first was due")
    return Measured(
        {
            "sleeping_jobs_mb": [growth],
            "wake_p50_s": [statistics.median(late)],
            "wake_p99_s": [statistics.quantiles(late, n=100)[_P99 - 1]],
        },
        f"{jobs:,} C guests that sleep until times within {spread_s} s, on one worker: growth of the "
        "memory (PSS) of control plane and worker while all sleep; how late a guest goes on, by its clock",
    )


def _memory(bench: Bench) -> float:
    return sum(memory_mb(family(process.popen.pid)) for process in bench.cluster.processes)


def _suspended(bench: Bench, client: Client) -> int:
    return bench.counts(client).get("suspended", 0)


def _lateness(client: Client, module: str, jobs: int) -> Sequence[float]:
    late: list[float] = []
    cursor = ""
    while len(late) < jobs:
        page = client.get(f"/v1/jobs?state=completed&module={module}&limit={PAGE}{cursor}")
        late += [job["result"] / 1000 for job in page["jobs"]]
        if "cursor" not in page:
            break
        cursor = f"&cursor={page['cursor']}"
    return late[:jobs]

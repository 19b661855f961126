"""What metrics cost the control plane: adding to histograms, and being scraped."""

import contextlib
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.workload import EXAMPLES, ROOT, WORKERS, Bench, Measured
from mvm_ci.adapters.system import SystemClock
from mvm_ci.domain.ids import JobId, first_id_of
from mvm_ci.domain.job import Placed
from mvm_ci.lifecycle.job_times import JobTimes
from mvm_ci.testing.cluster import Cluster, Process

PROGRAM: Final = ROOT / "benchmarks" / "switchable_plane.py"
PAIRS, JOBS, SCRAPES = 24, 5_000, 40
BATCH: Final = 45
"""Jobs of one commit under this load, see ``docs/performance.md``."""
EVERY_S: Final = 15.0
"""Between scrapes, as ``deploy/monitoring/prometheus.yml`` has it."""


class _Switchable(Cluster):
    """Its control plane's histograms can be switched off."""

    def start(self, *args: str, program: Sequence[str] = ("-m", "mvm_ci"), **others: object) -> Process:
        plane = args[0] == "control-plane"
        return super().start(*args, program=(str(PROGRAM),) if plane else program, **others)  # type: ignore[arg-type]


def measure(runs: int, *, quick: bool) -> Measured:
    del runs  # pairs of phases are repeated instead
    pairs, jobs, scrapes = (2, 1_000, 5) if quick else (PAIRS, JOBS, SCRAPES)
    spent: dict[bool, list[float]] = {True: [], False: []}
    with _cluster() as bench:
        noop = bench.c_module(EXAMPLES / "noop.c")
        pid = bench.cluster.processes[0].popen.pid
        bench.rate(noop, jobs)
        for number in range(pairs):
            # In turns, and every other time the other way round: what drifts meets both alike.
            for adding in (True, False) if number % 2 else (False, True):
                spent[adding].append(_cpu_of(bench, noop, jobs, pid, adding=adding) / jobs * 1e6)
        with bench.client() as client:
            before, began = _cpu_s(pid), time.perf_counter()
            for _ in range(scrapes):
                client.send(bench.address.request("GET", "/metrics"))
            each_s = (_cpu_s(pid) - before) / scrapes
            took_s = (time.perf_counter() - began) / scrapes
    alone_us = _added_us(200 if quick else 5_000)
    return Measured(
        {
            "metrics_added_pct": [
                (with_ / without - 1) * 100 for with_, without in zip(spent[True], spent[False], strict=True)
            ],
            "metrics_job_us": alone_us,
            "metrics_job_share_pct": [one / statistics.median(spent[False]) * 100 for one in alone_us],
            "scrape_cpu_ms": [each_s * 1000],
            "scrape_ms": [took_s * 1000],
            "scrape_share_pct": [each_s / EVERY_S * 100],
        },
        f"{pairs} pairs of {jobs:,} no-op jobs, 100 a request, 2 workers of 1 runner: CPU of the control "
        "plane's process with its histograms over the same process without, in turns; then the additions of "
        f"one job alone, in batches of {BATCH}, and their share of the CPU that a job took without them; a "
        f"scrape with 2 workers and all these jobs kept, {scrapes} one after the other; its share of a core "
        f"when it comes every {EVERY_S:g} s",
    )


def _added_us(rounds: int) -> list[float]:
    """Microseconds of what one job adds, in this process: its claim, its start, its end."""
    clock = SystemClock()
    found: list[float] = []
    for _ in range(5):
        times, now = JobTimes(clock), clock.now_ms()
        jobs = [JobId(first_id_of(now - 60) + serial) for serial in range(BATCH)]
        placements, waited = [Placed(job, 1) for job in jobs], [7] * BATCH
        began = time.process_time()
        for _ in range(rounds):
            times.claimed(placements, now)
            times.started(waited)
            times.ended(jobs)
        found.append((time.process_time() - began) / rounds / BATCH * 1e6)
    return found


def _cpu_of(bench: Bench, module: str, jobs: int, pid: int, *, adding: bool) -> float:
    os.kill(pid, signal.SIGUSR2 if adding else signal.SIGUSR1)
    with bench.client() as client:
        client.get("/v1/status")  # the switch was seen: signals are handled before the loop goes on
    before = _cpu_s(pid)
    bench.rate(module, jobs)
    return _cpu_s(pid) - before


def _cpu_s(pid: int) -> float:
    """CPU seconds of all threads of a process so far; ``stat`` would count in hundredths."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


@contextlib.contextmanager
def _cluster() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="mvm-ci-bench-") as directory:
        made = _Switchable(Path(directory), lease="15s")
        try:
            made.control_plane()
            made.workers(WORKERS)
            yield Bench(made)
        finally:
            made.close()

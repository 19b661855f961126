"""What a fleet of idle workers costs the control plane."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.client import RequestFailed
from benchmarks.processes import cpu_seconds, memory_mb
from benchmarks.workload import ROOT, Bench, Measured, cluster

WORKERS = 1_000
LOOK_S = 20.0
_SETTLE_S = 16.0
"""A whole lease: all first heartbeats have come, and allowed the workers to rest."""


def measure(runs: int, *, quick: bool) -> Measured:
    workers, look_s, settle_s = (100, 5.0, 2.0) if quick else (WORKERS, LOOK_S, _SETTLE_S)
    figures: dict[str, list[float]] = {"idle_writes_per_s": [], "idle_cpu_pct": []}
    with cluster(workers=()) as bench, _fleet(bench, workers):
        server = bench.cluster.processes[0].popen.pid
        index = bench.cluster.directory / "control-plane" / "store" / "state.db-shm"
        time.sleep(settle_s)
        for _ in range(runs):
            commits, spent, began = _commits(index), sum(cpu_seconds(server).values()), time.monotonic()
            time.sleep(look_s)
            took = time.monotonic() - began
            figures["idle_writes_per_s"].append((_commits(index) - commits) / took)
            figures["idle_cpu_pct"].append((sum(cpu_seconds(server).values()) - spent) / took * 100)
        figures["idle_rss_server_mb"] = [memory_mb([server])]
        with bench.client() as client:
            connected = sum(worker["connected"] for worker in client.get("/v1/workers")["workers"])
    if connected != workers:
        raise RequestFailed(f"{connected} of {workers} simulated workers are connected")
    return Measured(
        figures,
        f"{workers:,} idle workers in one process, each with its own key and connection over iroh, lease "
        "15 s, a heartbeat every 5 s, at rest every 120 s; commits as counted by SQLite's WAL index in "
        f"{look_s:g} s; CPU of the control plane's process, in percent of one core",
    )


@contextlib.contextmanager
def _fleet(bench: Bench, workers: int) -> Iterator[None]:
    token = bench.cluster.ok("join-token", "create", "--uses", str(workers))
    command = (
        sys.executable,
        "-m",
        "benchmarks.simulated",
        str(workers),
        bench.cluster.ticket.read_text(),
        token,
    )
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "connected\n":
                raise RequestFailed(
                    f"the simulated workers did not connect: {process.communicate(timeout=10)[1]}"
                )
            yield
        finally:
            process.kill()


def _commits(index: Path) -> int:
    """Commits so far: the change counter in the header of SQLite's WAL index, which each commit raises."""
    with index.open("rb") as file:
        return int.from_bytes(file.read(12)[8:], sys.byteorder)

"""What a fleet of idle workers costs the control plane."""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.client import RequestFailed
from benchmarks.workload import Measured
from mvm_ci.client import ApiClient
from mvm_ci.domain.errors import MvmCiError
from mvm_ci.loadtest.commands import Local
from mvm_ci.loadtest.fleet import Sample
from mvm_ci.loadtest.local import LocalFleet

WORKERS = 1_000
LOOK_S = 20.0
SCRAPES = 9
_SETTLE_S = 16.0
"""A whole lease: all first heartbeats have come, and allowed the workers to rest."""


def measure(runs: int, *, quick: bool) -> Measured:
    workers, look_s, settle_s = (100, 5.0, 2.0) if quick else (WORKERS, LOOK_S, _SETTLE_S)
    with tempfile.TemporaryDirectory(prefix="mvm-ci-bench-") as directory:
        try:
            figures = asyncio.run(_measure(Path(directory), runs, workers, look_s, settle_s))
        except MvmCiError as error:
            raise RequestFailed(str(error)) from error
    return Measured(
        figures,
        f"{workers:,} idle workers in one process, each with its own key and connection over iroh, lease "
        "15 s, a heartbeat every 5 s, at rest every 120 s; commits as counted by SQLite's WAL index in "
        f"{look_s:g} s; CPU of the control plane's process, in percent of one core; a scrape: from the "
        f"request for /metrics to its answer, the median of {SCRAPES}",
    )


async def _measure(
    directory: Path, runs: int, workers: int, look_s: float, settle_s: float
) -> dict[str, list[float]]:
    figures: dict[str, list[float]] = {"idle_writes_per_s": [], "idle_cpu_pct": [], "scrape_1000_ms": []}
    fleet = await LocalFleet.start(Local(simulated=True, directory=directory))
    try:
        await fleet.scale(workers)
        await asyncio.sleep(settle_s)
        for _ in range(runs):
            commits, spent, began = _commits(directory), (await _plane(fleet)).cpu_s, time.monotonic()
            await asyncio.sleep(look_s)
            took = time.monotonic() - began
            figures["idle_writes_per_s"].append((_commits(directory) - commits) / took)
            figures["idle_cpu_pct"].append(((await _plane(fleet)).cpu_s - spent) / took * 100)
            figures["scrape_1000_ms"].append(await _scrape_ms(fleet))
        figures["idle_rss_server_mb"] = [(await _plane(fleet)).memory_mb]
        await fleet.scale(workers)  # they are still there
    finally:
        await fleet.close()
    return figures


async def _plane(fleet: LocalFleet) -> Sample:
    return next(sample for sample in await fleet.samples() if sample.part == "control-plane")


async def _scrape_ms(fleet: LocalFleet) -> float:
    took = []
    async with ApiClient(fleet.api.url, fleet.api.token) as client:
        for _ in range(SCRAPES):
            began = time.perf_counter()
            await client.metrics()
            took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def _commits(directory: Path) -> int:
    """Commits so far: the change counter in the header of SQLite's WAL index, which each commit raises."""
    (index,) = directory.glob("*/control-plane/store/state.db-shm")
    with index.open("rb") as file:
        return int.from_bytes(file.read(12)[8:], sys.byteorder)

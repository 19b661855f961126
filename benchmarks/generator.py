"""Whether the load generator's percentiles are right: against a server whose service times are known.

``python -m benchmarks.generator DISTRIBUTION``: that server; says its address, and with SIGTERM the times
that it took.
"""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.workload import ROOT, WAIT_S, Measured
from mvm_ci.capacity.results import Repetition
from mvm_ci.domain.statistics import quantile
from mvm_ci.loadtest.children import Child
from mvm_ci.loadtest.delays import Delays
from mvm_ci.loadtest.fleet import Api
from mvm_ci.loadtest.measure import Shape
from mvm_ci.logs import configure_logs
from mvm_ci.testing.slow_api import BEARER, measurement, slow_api

DISTRIBUTIONS: Final = ("fixed:100ms", "exponential:100ms", "lognormal:100ms,p99=500ms")
SHAPES: Final = (Shape(rate=300.0), Shape(in_flight=50))
MEASURE_S: Final = 20.0
SHARES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
# Not that of the arrivals: else the times of requests would follow the gaps between them.
_SERVICE_SEED: Final = 11


def measure(runs: int, *, quick: bool) -> Measured:
    del runs  # loops and distributions are repeated instead
    seconds = 1.0 if quick else MEASURE_S
    off: dict[str, list[float]] = {f"generator_{name}_off_pct": [] for name in SHARES}
    for distribution in DISTRIBUTIONS:
        for shape in SHAPES:
            found, took_ms = asyncio.run(_against(distribution, shape, seconds))
            for name, share in SHARES.items():
                apart = getattr(found.latency, name) / quantile(took_ms, share) - 1
                off[f"generator_{name}_off_pct"].append(apart * 100)
    return Measured(
        off,
        "the load generator alone, at a server in a process of its own that takes "
        + ", ".join(DISTRIBUTIONS)
        + f": 300 requests a second (open loop) and 50 at once (closed), {seconds:g} s each; how far its "
        "percentiles are above those of the times that the server took, in percent",
    )


async def _against(distribution: str, shape: Shape, seconds: float) -> tuple[Repetition, list[float]]:
    """What the generator found, and what the server took for each request, in order of size; milliseconds."""
    async with _server(distribution) as (child, url):
        async with measurement(Api(url=url, token=BEARER), shape, seconds) as one:
            found = await one.run()
        await child.stop(WAIT_S)
        _, _, said = child.said.read_text().partition("\n")
        if not said:
            raise RuntimeError(f"the server did not say what it took: {child.last_words()}")
    took_ms = sorted(msgspec.json.decode(said, type=list[float]))
    count = sum(found.latency.buckets.values())
    if found.failed or found.bottleneck or found.overload or count != len(took_ms):
        why = found.bottleneck or found.overload or f"{found.failed} failed, {count} of {len(took_ms)} heard"
        raise RuntimeError(f"{distribution}: the generator did not measure all that was served: {why}")
    return found, took_ms


@asynccontextmanager
async def _server(distribution: str) -> AsyncIterator[tuple[Child, str]]:
    with tempfile.TemporaryDirectory(prefix="mvm-ci-bench-") as directory:
        command = ("-m", "benchmarks.generator", distribution)
        child = Child("server", command, Path(directory), {**os.environ, "PYTHONPATH": str(ROOT)})
        try:
            await child.until(lambda: "\n" in child.said.read_text(), "it listens", WAIT_S)
            yield child, child.said.read_text().strip()
        finally:
            await child.stop(WAIT_S)


async def _serve(distribution: str) -> None:
    configure_logs("warning", "auto")
    async with slow_api(Delays(distribution, _SERVICE_SEED).next_s) as server:
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        print(server.server.url, flush=True)
        await ended.wait()
    print(msgspec.json.encode(server.took_ms).decode())


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))

"""Whether the load generator's percentiles are right: against a server whose service times are known.

``python -m benchmarks.generator DISTRIBUTION``: that server; says its address, and with SIGTERM the times
that it took.
"""

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.workload import ROOT, WAIT_S, Measured
from mvm_ci.capacity.results import Repetition
from mvm_ci.domain.statistics import quantile
from mvm_ci.loadtest.channel import Channel
from mvm_ci.loadtest.children import Child
from mvm_ci.loadtest.delays import Delays
from mvm_ci.loadtest.fleet import Api, Sample
from mvm_ci.loadtest.jobs import Jobs
from mvm_ci.loadtest.measure import Measurement, Shape, Timing
from mvm_ci.loadtest.profiles import profile
from mvm_ci.logs import configure_logs
from mvm_ci.serving.exchange import Exchange
from mvm_ci.serving.server import ApiServer
from mvm_ci.wire import api

DISTRIBUTIONS: Final = ("fixed:100ms", "exponential:100ms", "lognormal:100ms,p99=500ms")
SHAPES: Final = (Shape(rate=300.0), Shape(in_flight=50))
MEASURE_S: Final = 20.0
SHARES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
# Two: else the times of requests would follow the gaps between them.
_ARRIVALS_SEED, _SERVICE_SEED = 7, 11


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
        found = await _repetition(url, shape, seconds)
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


async def _repetition(url: str, shape: Shape, seconds: float) -> Repetition:
    async with Channel(Api(url=url, token=""), connections=1_000, answer_s=WAIT_S) as channel:
        jobs = Jobs(channel, profile("noop"), "m" * 64)
        timing = Timing(warm_up_s=0.0, measure_s=seconds)
        return await Measurement(
            channel, jobs, shape, timing, samples=_nothing, progress=_Silent(), seed=_ARRIVALS_SEED
        ).run()


async def _nothing() -> tuple[Sample, ...]:
    return ()


class _Silent:
    def phase(self, text: str, seconds: float) -> None:
        pass

    def goes_on(self, for_s: float, text: str) -> None:
        pass

    def told(self, text: str) -> None:
        pass


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


@dataclass
class _Known:
    """Answers as the API does, after a time that it draws; writes down how long that really was."""

    delays: Delays
    took_ms: list[float] = field(default_factory=list)

    async def answer(self, exchange: Exchange) -> None:
        asked = msgspec.json.decode(await exchange.body(1 << 20), type=api.SubmitJobs)
        began = time.perf_counter()
        await asyncio.sleep(self.delays.next_s())
        self.took_ms.append((time.perf_counter() - began) * 1000)
        raw = msgspec.Raw(msgspec.json.encode("0" * 16))
        done = api.JobView(id="a" * 14, state="completed", result=raw, result_size=18)
        submitted = api.Submitted(jobs=(done,) * len(asked.jobs))
        exchange.reply(200, msgspec.json.encode(submitted), b"application/json")


async def _serve(distribution: str) -> None:
    configure_logs("warning", "auto")
    known = _Known(Delays(distribution, _SERVICE_SEED))
    server = ApiServer(known.answer, "127.0.0.1", 0, 1.0, what="a server of known times")
    await server.start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    print(server.url, flush=True)
    await ended.wait()
    await server.stop()
    print(msgspec.json.encode(known.took_ms).decode())


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))

"""Whether the load generator's percentiles are right: against a server whose service times are known.

``python -m benchmarks.generator serve DISTRIBUTION``: that server, in a process of its own; prints its
address, and with SIGTERM the times that it took.
"""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import msgspec

from benchmarks.workload import ROOT, WAIT_S, Measured
from mvm_ci.domain.statistics import quantile
from mvm_ci.loadtest.channel import Channel
from mvm_ci.loadtest.delays import Delays
from mvm_ci.loadtest.fleet import Api, Sample
from mvm_ci.loadtest.jobs import Jobs
from mvm_ci.loadtest.measure import Measurement, Shape, Timing
from mvm_ci.loadtest.profiles import profile
from mvm_ci.serving.exchange import Exchange
from mvm_ci.serving.server import ApiServer
from mvm_ci.wire import api

DISTRIBUTIONS: Final = ("fixed:100ms", "exponential:100ms", "lognormal:100ms,p99=500ms")
SHAPES: Final = {"open": Shape(rate=300.0), "closed": Shape(in_flight=50)}
MEASURE_S: Final = 20.0
SHARES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_SEED: Final = 7


def measure(runs: int, *, quick: bool) -> Measured:
    del runs  # loops and distributions are repeated instead
    off: dict[str, list[float]] = {f"generator_{name}_off_pct": [] for name in SHARES}
    for distribution in DISTRIBUTIONS:
        for shape in SHAPES.values():
            found, took = _against(distribution, shape, 1.0 if quick else MEASURE_S)
            for name, share in SHARES.items():
                known = quantile(took, share)
                off[f"generator_{name}_off_pct"].append((found[name] / known - 1) * 100)
    return Measured(
        off,
        "the load generator alone, at a server in a process of its own that takes "
        + ", ".join(DISTRIBUTIONS)
        + f": 300 requests a second (open loop) and 50 at once (closed), {MEASURE_S:g} s each; how far its "
        "percentiles are above those of the times that the server took, in percent",
    )


def _against(distribution: str, shape: Shape, seconds: float) -> tuple[dict[str, float], list[float]]:
    """What the generator found, and what the server took, in order; milliseconds."""
    with _server(distribution) as (process, url):
        found = asyncio.run(_percentiles(url, shape, seconds))
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=WAIT_S)
    return found, sorted(msgspec.json.decode(said, type=list[float]))


async def _percentiles(url: str, shape: Shape, seconds: float) -> dict[str, float]:
    async with Channel(Api(url=url, token=""), connections=1_000, answer_s=WAIT_S) as channel:
        jobs = Jobs(channel, profile("noop"), "m" * 64)
        timing = Timing(warm_up_s=0.0, measure_s=seconds)
        made = Measurement(channel, jobs, shape, timing, samples=_nothing, progress=_Silent(), seed=_SEED)
        latency = (await made.run()).latency
    return {name: getattr(latency, name) for name in SHARES}


async def _nothing() -> tuple[Sample, ...]:
    return ()


class _Silent:
    def phase(self, text: str, seconds: float) -> None:
        pass

    def goes_on(self, for_s: float, text: str) -> None:
        pass

    def told(self, text: str) -> None:
        pass


@contextmanager
def _server(distribution: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "benchmarks.generator", "serve", distribution]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@dataclass
class _Known:
    """Answers as the API does, after a time that it draws; writes down how long that really was."""

    delays: Delays
    took_ms: list[float]

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
    known = _Known(Delays(distribution, _SEED), [])
    server = ApiServer(known.answer, "127.0.0.1", 0, 1.0, what="a server of known times")
    await server.start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    print(server.url, flush=True)
    await ended.wait()
    await server.stop()
    print(msgspec.json.encode(known.took_ms).decode())


if __name__ == "__main__":
    _, what, distribution = sys.argv
    if what != "serve":
        sys.exit("there is: serve DISTRIBUTION")
    asyncio.run(_serve(distribution))

"""An API that does nothing but take its time, and writes down how long that was; the load generator at it."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec

from mvm_ci.loadtest.channel import Channel
from mvm_ci.loadtest.fleet import Api, Sample
from mvm_ci.loadtest.jobs import Jobs
from mvm_ci.loadtest.measure import Measurement, Shape, Timing
from mvm_ci.loadtest.profiles import profile
from mvm_ci.serving.exchange import Exchange
from mvm_ci.serving.problems import PROBLEM, problem
from mvm_ci.serving.server import ApiServer
from mvm_ci.wire import api

BEARER: Final = "token-of-the-tests"


class SlowApi:
    """``service``: seconds for the next request; ``places``: that are served at once."""

    def __init__(
        self, service: Callable[[], float], *, places: int = 100_000, tls: ssl.SSLContext | None = None
    ) -> None:
        self.took_ms: list[float] = []
        self.stalls_until = 0.0
        """Nothing is served before, by the performance counter."""
        self.refuses = 0
        """So many requests are refused."""
        self.refusal = (429, "queue-full", "10 jobs are all it takes")
        self.under_way = self.most = 0
        self.result = "0" * 16
        self.seen: dict[bytes, bytes] = {}
        """The headers of the last request."""
        self.server = ApiServer(self._answer, "127.0.0.1", 0, 0.0, tls=tls)
        self._service = service
        self._places = asyncio.Semaphore(places)

    async def _answer(self, exchange: Exchange) -> None:
        began = time.perf_counter()
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            self.seen = exchange.headers
            asked = msgspec.json.decode(await exchange.body(1 << 20), type=api.SubmitJobs)
            if self.refuses:
                self.refuses -= 1
                exchange.reply(self.refusal[0], problem(*self.refusal), PROBLEM, [(b"retry-after", b"7")])
                return
            async with self._places:
                await asyncio.sleep(max(self._service(), self.stalls_until - time.perf_counter()))
            self.took_ms.append((time.perf_counter() - began) * 1000)
            raw = msgspec.Raw(msgspec.json.encode(self.result))
            done = api.JobView(id="a" * 14, state="completed", result=raw, result_size=18)
            exchange.reply(
                200, msgspec.json.encode(api.Submitted(jobs=(done,) * len(asked.jobs))), b"application/json"
            )
        finally:
            self.under_way -= 1


@contextlib.asynccontextmanager
async def slow_api(
    service: Callable[[], float], *, places: int = 100_000, tls: ssl.SSLContext | None = None
) -> AsyncIterator[SlowApi]:
    """One that listens until the block ends."""
    made = SlowApi(service, places=places, tls=tls)
    await made.server.start()
    try:
        yield made
    finally:
        await made.server.stop()


class Silent:
    """Progress that nobody looks at; it keeps what it was told."""

    def __init__(self) -> None:
        self.phases: list[str] = []
        self.lines: list[str] = []

    def told(self, text: str) -> None:
        self.lines.append(text)

    def phase(self, text: str, seconds: float) -> None:
        self.phases.append(text)

    def goes_on(self, for_s: float, text: str) -> None:
        self.lines.append(text)


async def no_samples() -> tuple[Sample, ...]:
    """What a fleet uses that nobody looks at."""
    return ()


def address(plane: SlowApi) -> Api:
    """Where it is."""
    return Api(url=plane.server.url, token=BEARER)


@contextlib.asynccontextmanager
async def measurement(
    at: Api, shape: Shape, seconds: float, *, connections: int = 1_000, warm_up_s: float = 0.0
) -> AsyncIterator[Measurement]:
    """Of no-op jobs at ``at``; the channel is there until the block ends."""
    async with Channel(at, connections=connections, answer_s=30) as channel:
        jobs = Jobs(channel, profile("noop"), "m" * 64)
        timing = Timing(warm_up_s=warm_up_s, measure_s=seconds)
        yield Measurement(channel, jobs, shape, timing, samples=no_samples, progress=Silent(), seed=3)

"""One measured time under one load: warm up until throughput is steady, measure, await the last answers."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from mvm_ci.capacity.hdr import Histogram
from mvm_ci.capacity.results import Loop, Repetition
from mvm_ci.domain.errors import MvmCiError, Unavailable
from mvm_ci.loadtest.arrivals import Arrivals, ClosedLoop, OpenLoop
from mvm_ci.loadtest.channel import Channel
from mvm_ci.loadtest.fleet import Sample
from mvm_ci.loadtest.jobs import Jobs, check
from mvm_ci.loadtest.steady import slices, steady
from mvm_ci.loadtest.tally import Tally
from mvm_ci.loadtest.uses import Uses
from mvm_ci.loadtest.verdict import Flow, Own, bottleneck, overload
from mvm_ci.ports.progress import Progress

GONE_S: Final = 5.0
"""A cluster of which nothing was heard for so long, while requests failed, is gone."""
DRAIN_S: Final = 10.0
"""For the last answers."""
LEAST_S: Final = 1.0
"""Less than this is no measured time."""
_SLICE_S: Final = 0.25
_SLICES: Final = 10
"""In a measured time, at least."""
_SHORTEST_S: Final = 0.001
_LOOK_S: Final = 5.0
"""Between two looks at what the cluster uses."""
_LAG_S: Final = 0.02


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """A load: ``rate`` requests a second of an open loop, or, if that is None, ``in_flight`` at once of a
    closed one.
    """

    rate: float | None = None
    in_flight: int = 0

    @property
    def loop(self) -> Loop:
        """Which of the two it is."""
        return Loop.CLOSED if self.rate is None else Loop.OPEN


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """``warm_up_s``: at most; it ends as soon as throughput is steady."""

    warm_up_s: float
    measure_s: float


class Measurement:
    """Of one load by ``jobs`` on what ``channel`` leads to. An open loop has as many requests under way
    as the channel has connections, at most.
    """

    def __init__(
        self,
        channel: Channel,
        jobs: Jobs,
        shape: Shape,
        timing: Timing,
        *,
        samples: Callable[[], Awaitable[Sequence[Sample]]],
        progress: Progress,
        seed: int = 0,
    ) -> None:
        self._channel = channel
        self._jobs = jobs
        self._shape = shape
        self._timing = timing
        self._samples = samples
        self._progress = progress
        self._arrivals: Arrivals = (
            ClosedLoop(self._ask, shape.in_flight)
            if shape.rate is None
            else OpenLoop(self._ask, shape.rate, channel.connections, seed)
        )
        self._tally = Tally()
        self._uses = Uses()
        self._lag = Histogram()
        self._slices: list[int] = []
        """Jobs that completed in each."""
        self._slice_s = min(_SLICE_S, timing.measure_s / _SLICES)
        self._warm_up_s = 0.0
        self._under_way = (0, 0)
        """At the beginning of the measured time, and at its end or now."""
        self._held_s = 0.0
        self._owed = 0
        self._own_cores = 0.0
        self._failing_s: float | None = None
        self._broken = asyncio.Event()
        self._error: MvmCiError | None = None
        self._left = False
        """Nobody waits for answers any more, whatever becomes of them."""

    async def run(self) -> Repetition:
        """Raises ``Unavailable`` if the cluster goes away, and what it answers if no request can succeed.
        Then, and if it is cancelled, ``so_far`` has what was measured.
        """
        load = asyncio.create_task(self._arrivals.run())
        lag = asyncio.create_task(self._watch_loop())
        try:
            await self._warm_up()
            await self._measure()
            await _ended(load)
            self._progress.phase("last answers", 0)
            await self._arrivals.drain(DRAIN_S)
            self._count_owed()
        finally:
            self._left = True
            self._tally.end(time.perf_counter())
            await _ended(load, lag)
            await self._arrivals.drain(0)
        return self._found(self._tally.span_s(time.perf_counter()))

    def so_far(self) -> Repetition | None:
        """What was measured; None if that was less than ``LEAST_S``."""
        span = self._tally.span_s(time.perf_counter())
        return self._found(span) if span >= LEAST_S else None

    def _found(self, span: float) -> Repetition:
        tally = self._tally
        latency = tally.latency.latency()
        (late_p99,) = tally.late.quantiles(0.99)
        own = Own(
            p99_ms=latency.p99,
            late_p99_ms=late_p99,
            lag_p99_ms=self._lag.quantile(0.99),
            cpu_cores=self._own_cores,
            wanted=self._shape.in_flight or (self._channel.wanted if self._held_s else 0),
            connections=self._channel.connections,
        )
        too_much = overload(self._flow(span)) if self._shape.rate is not None else ""
        return Repetition(
            warm_up_s=self._warm_up_s,
            measured_s=span,
            steady=steady(slices(self._slices)) and not too_much,
            jobs=tally.jobs,
            failed=tally.failed,
            jobs_per_s=tally.jobs / span,
            latency=latency,
            late_p99_ms=late_p99,
            usage=self._uses.usage(self._own_cores),
            bottleneck=bottleneck(own),
            overload=too_much,
            reasons=tally.reasons,
        )

    # ------------------------------------------------------------ phases

    async def _warm_up(self) -> None:
        if self._timing.warm_up_s:
            self._progress.phase("warm-up", self._timing.warm_up_s)
        began = time.perf_counter()
        while (left := self._timing.warm_up_s - self._warm_up_s) > _SHORTEST_S:
            await self._slice(left, self._warm_up_s)
            self._warm_up_s = time.perf_counter() - began
            # What came first is the warm-up itself.
            if steady(slices(self._slices[len(self._slices) // 2 :])):
                break

    async def _measure(self) -> None:
        self._uses.look(await self._samples(), time.perf_counter())
        self._slices = []
        self._lag = Histogram()
        self._progress.phase("measuring", self._timing.measure_s)
        held, under_way = self._arrivals.held_s, self._arrivals.under_way
        began = looked = time.perf_counter()
        self._tally.begin(began)
        self._arrivals.forget()
        while (left := began + self._timing.measure_s - time.perf_counter()) > _SHORTEST_S:
            await self._slice(left, self._timing.measure_s - left)
            self._note(under_way, held)
            if time.perf_counter() - looked >= _LOOK_S:
                looked = time.perf_counter()
                self._uses.look(await self._samples(), looked)
        self._tally.end(time.perf_counter())
        self._note(under_way, held)
        self._uses.look(await self._samples(), time.perf_counter())

    def _note(self, under_way: int, held_s: float) -> None:
        self._under_way = (under_way, self._arrivals.under_way)
        self._held_s = self._arrivals.held_s - held_s
        self._own_cores = self._uses.own_cores(time.perf_counter())

    async def _slice(self, left_s: float, for_s: float) -> None:
        """Lets a slice go by, or what is left. Raises what broke the load."""
        before = self._tally.done
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(left_s, self._slice_s)):
                await self._broken.wait()
        if self._error is not None:
            raise self._error
        completed = self._tally.done - before
        self._slices.append(completed)
        self._progress.goes_on(
            for_s,
            f"{completed / self._slice_s:.0f} jobs/s, {self._arrivals.under_way} under way, "
            f"p99 {self._tally.latency.quantile(0.99):.3g} ms, {self._tally.failed} failed",
        )

    def _count_owed(self) -> None:
        """Requests that should have left are as late as they are, though they never left."""
        now = time.perf_counter()
        owed, due = self._arrivals.owed(self._tally.ended_s)
        if owed:
            self._tally.unheard(due, now, owed)
        self._owed = owed

    def _flow(self, span_s: float) -> Flow:
        before, now = self._under_way
        return Flow(
            rate=self._shape.rate or 0.0,
            span_s=span_s,
            grown=now - before,
            owed=self._owed,
            unanswered=self._tally.unanswered - self._owed,
            held_s=self._held_s,
            most=self._channel.connections,
        )

    # ------------------------------------------------------------ one request

    async def _ask(self, due: float, ready: float) -> bool:
        clock, tally = time.perf_counter, self._tally
        work = self._jobs.next()
        left = clock()
        began = min(due, left)
        tally.left(began, ready, left)
        try:
            checked = check(work, await self._channel.send(work.request))
        except asyncio.CancelledError:
            if not self._left:
                tally.unheard(began, clock())
            raise
        except Unavailable as error:
            self._away(error)
            tally.fail(began, len(work.results), f"{error.code}: {error}")
            return False
        except MvmCiError as error:
            # No request can succeed.
            self._break(error)
            return False
        self._failing_s = None
        tally.answered(began, clock(), checked.completed)
        if checked.failed:
            tally.fail(began, checked.failed, checked.why)
        return True

    def _away(self, error: Unavailable) -> None:
        now = time.perf_counter()
        if self._failing_s is None or self._channel.answered_s > self._failing_s:
            self._failing_s = now
        elif now - self._failing_s >= GONE_S:
            self._break(Unavailable(f"the cluster went away: {error}"))

    def _break(self, error: MvmCiError) -> None:
        self._error = self._error or error
        self._broken.set()

    async def _watch_loop(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LAG_S
            await asyncio.sleep(_LAG_S)
            self._lag.add(max(0.0, loop.time() - due) * 1000)


async def _ended(*tasks: asyncio.Task[None]) -> None:
    """Ends them. Raises what one of them raised before."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()

"""The whole of a load test: its fleets one after the other, and the result, also of one that ended early."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final

import msgspec

from mvm_ci.capacity.objective import Objective
from mvm_ci.capacity.results import Cluster, Grown, Repetition, Result, Soak, Step
from mvm_ci.domain.errors import MvmCiError, Unavailable
from mvm_ci.loadtest.asked import Asked, Broken, Load
from mvm_ci.loadtest.bench import OPEN_CONNECTIONS, Bench, benched
from mvm_ci.loadtest.channel import Channel
from mvm_ci.loadtest.fleet import Fleet
from mvm_ci.loadtest.machine import this_machine
from mvm_ci.loadtest.measure import Measurement, Shape, Timing
from mvm_ci.loadtest.profiles import Profile
from mvm_ci.loadtest.soak import Soaking, Watch, WatchedChannel, beside
from mvm_ci.loadtest.stub import Counts
from mvm_ci.loadtest.stub_process import StubProcess, stub_process
from mvm_ci.ports.progress import Progress

INTERRUPTED: Final = "interrupted"
"""What ended a run that was cancelled."""
_GOES_ON: Final = "not ended"
"""Of what is kept meanwhile."""
_CLOCK_MS: Final = 1000.0
"""Clocks that differ by more are told."""

Started = Callable[[], AbstractAsyncContextManager[Fleet]]
"""Starts a fleet, or takes one that runs, and leaves it as it was."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What to do, and what to say of it. ``shared``: whether the cluster is on this machine; ``option``:
    where its engine is, None: the fleet knows; ``stub``: where a stub is to listen, nothing: none is needed;
    ``stub_latency``: the distribution of its answers' times.
    """

    command: str
    address: str
    shared: bool
    queue: str
    asked: Asked
    profiles: Mapping[str, Profile]
    objective: Objective | None
    stub: str
    stub_latency: str
    option: int | None = None
    soaking: Soaking | None = None


class LoadTest:
    """One. ``run`` it once. ``keep``: is given the result so far after each step."""

    def __init__(self, run: Run, progress: Progress, keep: Callable[[Result], Awaitable[None]]) -> None:
        self._run = run
        self._progress = progress
        self._keep = keep
        self._machine = this_machine(shared=run.shared)
        self._began_ms, self._began = time.time_ns() // 1_000_000, time.monotonic()
        self._cluster = Cluster(address=run.address, version="")
        self._stub: StubProcess | None = None
        self._steps: list[Step] = []
        self._soak: Soak | None = None
        self._notes: list[str] = []

    async def run(self, fleets: list[Started]) -> Result:
        """Raises ``MvmCiError`` if it cannot begin; once something was measured there is always a result,
        also for whoever cancels it.
        """
        ended_by = ""
        try:
            async with self._stub_if_needed() as self._stub:
                for number, started in enumerate(fleets, 1):
                    await self._load(started, number, of=len(fleets))
        except asyncio.CancelledError:
            ended_by = INTERRUPTED
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
        except MvmCiError as error:
            if not self._measured_any:
                raise
            ended_by = str(error)
        return self._result(ended_by)

    @asynccontextmanager
    async def _stub_if_needed(self) -> AsyncIterator[StubProcess | None]:
        async with AsyncExitStack() as stack:
            needed = self._run.stub
            stub = stub_process(needed, self._run.stub_latency)
            yield await stack.enter_async_context(stub) if needed else None

    @property
    def _measured_any(self) -> bool:
        return any(step.repetitions for step in self._steps)

    async def _load(self, started: Started, number: int, of: int) -> None:
        run, where = self._run, f"cluster {number} of {of}"
        self._progress.phase("starting", 0)
        try:
            async with (
                started() as fleet,
                benched(fleet, run.queue, self._stub, self._progress, self._notes) as bench,
            ):
                where = self._where(bench)
                status = await bench.client.status()
                self._cluster = msgspec.structs.replace(self._cluster, version=status.version)
                await self._kept_if_it_ends(self._ramp(bench))
        except Unavailable as error:
            # Where a cluster of ours breaks is what we want to know; the others can still be loaded.
            if number == of:
                raise
            self._notes.append(f"{where} ended: {error}")

    async def _kept_if_it_ends(self, ramp: Coroutine[None, None, None]) -> None:
        """What was measured is in its file before anything is put back as it was: that may take long."""
        try:
            await ramp
        except (asyncio.CancelledError, MvmCiError) as error:
            if self._measured_any:
                await self._keep(self._result(_why(error)))
            raise

    async def _ramp(self, bench: Bench) -> None:
        run, broken, there = self._run, Broken(self._run.objective), 0
        for workers, name, load in run.asked.steps():
            if broken.left_out(workers, name, load):
                continue
            if there:
                self._progress.phase("removing the jobs of the load before", 0)
                await bench.clean()
            if workers != there:
                await self._scale(bench, workers)
                there = workers
            profile = run.profiles[name]
            self._notes += [told] if (told := await bench.calibrated(profile)) else []
            step = await self._step(bench, workers, profile, load)
            if told := await bench.fleet.changed():
                self._notes.append(f"{_title(step, load)}: {told}")
            why = broken.look(load, step)
            self._progress.told(_line(step, load, why))
            await self._keep(self._result(_GOES_ON))

    async def _scale(self, bench: Bench, workers: int) -> None:
        self._progress.phase(f"{self._where(bench)}: {workers} workers", 0)
        await bench.fleet.scale(workers)
        await bench.primed(workers)
        await bench.compare_clocks()
        clock = bench.clock
        self._cluster = msgspec.structs.replace(
            self._cluster, clock_ahead_ms=clock.ahead_ms, clock_uncertain_ms=clock.uncertain_ms
        )
        if abs(clock.ahead_ms) > clock.uncertain_ms + _CLOCK_MS:
            told = f"the control plane's clock is {clock.ahead_ms / 1000:+.1f} s ahead of the one here"
            self._notes.append(f"{told}: times of jobs and of this result cannot be compared")

    async def _step(self, bench: Bench, workers: int, profile: Profile, load: Load) -> Step:
        """Measures it; what was measured is among the steps, whatever happens."""
        asked = self._run.asked
        in_flight = load.in_flight(workers)
        blank = Step(
            option=self._run.option or bench.fleet.option,
            profile=profile.name,
            workers=workers,
            slots=bench.fleet.slots,
            simulated=bench.fleet.simulated,
            loop=load.loop,
            rate=load.rate,
            in_flight=in_flight,
            batch=asked.batch,
            repetitions=(),
        )
        if self._run.soaking is not None:
            self._progress.phase(_title(blank, load), asked.warm_up_s + self._run.soaking.duration_s)
            return await self._soaked(bench, blank, profile, self._run.soaking)
        async with bench.channel(in_flight or OPEN_CONNECTIONS, Channel) as channel:
            jobs = bench.jobs(channel, profile, asked.batch)
            timing = Timing(warm_up_s=asked.warm_up_s, measure_s=asked.measure_s)
            found: list[Repetition] = []
            ended_by = INTERRUPTED
            self._progress.phase(_title(blank, load), asked.repetitions * (asked.warm_up_s + asked.measure_s))
            progress = _Within(self._progress)
            try:
                for number in range(asked.repetitions):
                    measurement = Measurement(
                        channel,
                        jobs,
                        Shape(rate=load.rate, in_flight=in_flight or 0),
                        timing,
                        samples=bench.samples,
                        progress=progress,
                        seed=number,
                    )
                    await _measured(measurement, bench, found)
                ended_by = ""
            except MvmCiError as error:
                ended_by = str(error)
                raise
            finally:
                step = msgspec.structs.replace(blank, repetitions=tuple(found), ended_by=ended_by)
                self._steps.append(step)
        return step

    async def _soaked(self, bench: Bench, blank: Step, profile: Profile, soaking: Soaking) -> Step:
        """The same for a soak."""
        before = await self._counts()
        found: list[Repetition] = []
        async with bench.channel(blank.in_flight or OPEN_CONNECTIONS, WatchedChannel) as channel:
            measurement = Measurement(
                channel,
                bench.jobs(channel, profile, blank.batch),
                Shape(rate=blank.rate, in_flight=blank.in_flight or 0),
                Timing(warm_up_s=self._run.asked.warm_up_s, measure_s=soaking.duration_s),
                samples=bench.samples,
                progress=_Within(self._progress),
            )

            async def swept() -> None:
                so_far = measurement.so_far()
                measured = () if so_far is None else (bench.judged(so_far),)
                step = msgspec.structs.replace(blank, repetitions=measured, ended_by=_GOES_ON)
                # Not on the event loop: requests would have to wait for it.
                soak = watch.soak(step, await asyncio.to_thread(watch.grown))
                result = self._result(_GOES_ON)
                await self._keep(msgspec.structs.replace(result, steps=(*result.steps, step), soak=soak))

            watch = Watch(bench, soaking, channel, self._progress, swept)
            ended: BaseException | None = None
            try:
                await beside(watch, _measured(measurement, bench, found))
            except (asyncio.CancelledError, MvmCiError) as error:
                ended = error
            step = msgspec.structs.replace(blank, repetitions=tuple(found), ended_by=_why(ended))
            self._steps.append(step)
            grown = watch.grown()
            self._soak = watch.soak(step, grown)
            try:
                await self._settle(watch, step, grown, before)
            except MvmCiError as error:
                raise ended or Unavailable(f"what became of the last jobs cannot be told: {error}") from None
        if ended is not None:
            raise ended
        return step

    async def _settle(self, watch: Watch, step: Step, grown: tuple[Grown, ...], before: Counts) -> None:
        """Looks what became of all jobs, and of their effects: after a soak that ended early without waiting
        for them. Raises ``Unavailable`` if one of the two cannot be told; the other one is.
        """
        lost: int | None = None
        try:
            lost = await (watch.missing(step.batch) if step.ended_by else watch.settle(step.batch))
        finally:
            soak = self._soak = msgspec.structs.replace(watch.soak(step, grown), lost=lost)
            counts = await self._counts()
            self._soak = msgspec.structs.replace(
                soak,
                effects=counts.effects - before.effects,
                doubled=counts.doubled - before.doubled,
                repeated=counts.repeated - before.repeated,
            )

    def _where(self, bench: Bench) -> str:
        return _cluster(self._run.option or bench.fleet.option)

    def _words(self, profile: Profile) -> str:
        return f"{profile.words} ({self._run.stub_latency})" if profile.asks else profile.words

    async def _counts(self) -> Counts:
        return Counts() if self._stub is None else await self._stub.counts()

    def _result(self, ended_by: str) -> Result:
        run = self._run
        return Result(
            command=run.command,
            began_ms=self._began_ms,
            took_s=time.monotonic() - self._began,
            complete=not ended_by,
            ended_by=ended_by,
            machine=self._machine,
            cluster=self._cluster,
            profiles={name: self._words(profile) for name, profile in run.profiles.items()},
            slo="" if run.objective is None else str(run.objective),
            steps=tuple(self._steps),
            soak=self._soak,
            notes=tuple(dict.fromkeys(self._notes)),
        )


class _Within:
    """Progress of one measurement, as a part of a phase that is longer."""

    def __init__(self, around: Progress) -> None:
        self._around = around
        self._began = time.monotonic()
        self._phase = ""

    def phase(self, text: str, seconds: float) -> None:  # noqa: ARG002 - a part of the whole
        self._phase = text

    def goes_on(self, for_s: float, text: str) -> None:  # noqa: ARG002 - as above
        self._around.goes_on(time.monotonic() - self._began, f"{self._phase}: {text}")

    def told(self, text: str) -> None:
        self._around.told(text)


async def _measured(measurement: Measurement, bench: Bench, found: list[Repetition]) -> None:
    """Adds what it measures, also if it ends early."""
    try:
        found.append(bench.judged(await measurement.run()))
    except BaseException:
        if (partial := measurement.so_far()) is not None:
            found.append(bench.judged(partial))
        raise


def _why(ended: BaseException | None) -> str:
    """What ended something, in words."""
    if isinstance(ended, asyncio.CancelledError):
        return INTERRUPTED
    return "" if ended is None else str(ended)


def _cluster(option: int | None) -> str:
    return f"option {option}" if option is not None else "this cluster"


def _title(step: Step, load: Load) -> str:
    plural = "" if step.workers == 1 else "s"
    return (
        f"{_cluster(step.option)}, {step.workers} worker{plural}, {step.profile}, {load.told(step.workers)}"
    )


def _line(step: Step, load: Load, why: str) -> str:
    found = f"{step.jobs_per_s:,.0f} jobs/s, p50 {step.p50_ms:.3g} ms, p99 {step.p99_ms:.3g} ms"
    marks = "; ".join(mark for mark in (why, step.bottleneck) if mark)
    return f"{_title(step, load)}: {found}{f' ({marks})' if marks else ''}"

"""The worker process: joins, runs what it is given, and leaves without losing any of it."""

import asyncio
import contextlib
import gc
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import structlog

from mvm_ci.domain.errors import Misconfigured
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.engine import (
    ArtifactFiles,
    ControlPlane,
    Engine,
    EngineEvents,
    JournalSink,
    Lease,
    PayloadStore,
)
from mvm_ci.ports.guest import ModuleCompiler
from mvm_ci.ports.transport import Transport
from mvm_ci.wire.messages import Draining, Goodbye
from mvm_ci.worker.artifact_files import WorkerArtifacts
from mvm_ci.worker.backoff import Backoff
from mvm_ci.worker.cache import BlobCache
from mvm_ci.worker.holdings import Holdings
from mvm_ci.worker.intake import Intake
from mvm_ci.worker.lease import SessionLease
from mvm_ci.worker.link import Link
from mvm_ci.worker.payloads import Payloads
from mvm_ci.worker.settings import WorkerSettings
from mvm_ci.worker.state import StateDirectory

TICK_MS: Final = 500
HAND_OVER_MS: Final = 10_000
"""Beyond the grace: time for guests to be handed over, and for their ends to be recorded."""
GOODBYE_MS: Final = 2_000
_GC_THRESHOLD: Final = 50_000

log = structlog.get_logger()


class EngineFactory(Protocol):
    """Makes the worker's engine, which the worker starts. What it raises ends the worker."""

    def __call__(
        self,
        *,
        journal: JournalSink,
        plane: ControlPlane,
        lease: Lease,
        payloads: PayloadStore,
        artifacts: ArtifactFiles,
        events: EngineEvents,
    ) -> Awaitable[Engine]:
        """The engine; the worker closes it."""
        ...


class Worker:
    """A worker. ``run`` once.

    ``backoff``: between attempts to connect; tests give one without chance.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        *,
        transport: Transport,
        engine_factory: EngineFactory,
        compiler: ModuleCompiler,
        clock: Clock,
        backoff: Backoff | None = None,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._engine_factory = engine_factory
        self._compiler = compiler
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._holdings = Holdings(clock)
        self._leave = asyncio.Event()
        self._quit = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether its session has a connection to the control plane now."""
        return self._holdings.outbox.attached

    def request_stop(self) -> None:
        """The first time: drain and leave. The second time: leave now; the control plane hands the jobs
        on.
        """
        if self._leave.is_set():
            log.warning("worker_quits")
            self._quit.set()
        self._leave.set()

    async def run(self) -> None:
        """Works until it is asked to stop: by SIGTERM, SIGINT or ``request_stop``.

        Raises ``Misconfigured`` (state directory, ticket, address) or ``Refused`` (for good).
        """
        state = await _opened(self._settings.state_dir)
        try:
            with self._signals():
                await self._run(state)
        finally:
            state.close()

    async def _run(self, state: StateDirectory) -> None:
        lease, holdings = SessionLease(self._clock), self._holdings
        link = Link(
            self._settings,
            state,
            transport=self._transport,
            clock=self._clock,
            lease=lease,
            holdings=holdings,
            backoff=self._backoff,
        )
        cache = await asyncio.to_thread(BlobCache, state.blobs, self._settings.cache_bytes)
        payloads = Payloads(cache, self._compiler, self._clock, link.connection)
        large = await asyncio.to_thread(BlobCache, state.artifacts, self._settings.artifact_bytes)
        artifacts = WorkerArtifacts(state.artifacts, large, self._clock, link.connection)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(payloads.close)
            stack.push_async_callback(artifacts.close)
            await link.bind()
            stack.push_async_callback(link.close)
            engine = await self._engine_factory(
                journal=holdings.outbox,
                plane=holdings.outbox.asks,
                lease=lease,
                payloads=payloads,
                artifacts=artifacts,
                events=holdings,
            )
            stack.push_async_callback(engine.close)
            holdings.slots, holdings.capacity = engine.slots, engine.capacity
            holdings.extra = lambda: engine.extra
            holdings.runners = lambda: engine.runners
            # Beside the link: jobs of a process before this one are given back by its Hello, and a start of
            # many runners must not keep them waiting.
            intake = Intake(engine, holdings, payloads.journal)
            stack.push_async_callback(intake.close)
            starting = await stack.enter_async_context(_background(self._start(engine, holdings)))
            linked = await stack.enter_async_context(_background(link.run(intake)))
            ticking = await stack.enter_async_context(_background(self._tick(engine, holdings)))
            await _first(starting, linked, ticking, self._leave.wait())
            if starting.done():
                await starting
                await _first(linked, ticking, self._leave.wait())
            for part in (linked, ticking):
                if part.done():
                    await part  # it ends only by an error
            # No effect may leave once nobody renews the lease.
            stack.callback(lease.end)
            await self._hand_over(engine, holdings, linked)
            if linked.done():
                await linked
        log.info("worker_stopped")

    async def _start(self, engine: Engine, holdings: Holdings) -> None:
        await engine.start()
        log.info("worker_started", name=self._settings.name, slots=engine.slots)
        holdings.engine_started()
        # What lives by now lives as long as the worker: a full collection over it would only stop it.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_GC_THRESHOLD, *gc.get_threshold()[1:])

    async def _hand_over(self, engine: Engine, holdings: Holdings, linked: asyncio.Task[None]) -> None:
        log.info("worker_draining", grace_s=self._settings.grace_s, running=len(holdings.running))
        outbox = holdings.outbox
        holdings.draining = True
        outbox.post(Draining())
        limit_ms = self._settings.grace_s * 1000 + HAND_OVER_MS
        async with _background(engine.drain(self._settings.grace_s)) as draining:
            await _first(draining, linked, self._quit.wait(), self._clock.sleep(limit_ms))
            if draining.done():
                await draining
        # A moment for the last ends, even if the connection is down just now.
        await _first(outbox.until_settled(), linked, self._quit.wait(), self._clock.sleep(HAND_OVER_MS))
        if self._quit.is_set() or linked.done() or not outbox.attached:
            log.warning("worker_left_without_goodbye", unrecorded=len(list(outbox.unrecorded)))
            return
        # Closing at once would throw away what the network has not delivered: the control plane hangs up.
        outbox.post(Goodbye())
        await _first(linked, outbox.until_detached(), self._quit.wait(), self._clock.sleep(GOODBYE_MS))

    async def _tick(self, engine: Engine, holdings: Holdings) -> None:
        while True:
            await self._clock.sleep(TICK_MS)
            holdings.release_stuck(engine.release_waiting)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            loop.add_signal_handler(number, self.request_stop)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)


async def _opened(directory: Path) -> StateDirectory:
    opening = asyncio.create_task(asyncio.to_thread(StateDirectory, directory))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        # The thread goes on, and what it opens is locked until somebody closes it.
        with contextlib.suppress(Misconfigured):
            (await opening).close()
        raise


@contextlib.asynccontextmanager
async def _background(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """``work`` goes on beside the block, and is over when the block is."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _first(*waits: asyncio.Task[None] | Coroutine[Any, Any, Any]) -> None:
    """Returns when any of ``waits`` is over; coroutines are cancelled then, tasks go on."""
    own = [asyncio.create_task(wait) for wait in waits if not isinstance(wait, asyncio.Task)]
    tasks = [wait for wait in waits if isinstance(wait, asyncio.Task)]
    try:
        await asyncio.wait([*own, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in own:
            task.cancel()
        await asyncio.gather(*own, return_exceptions=True)

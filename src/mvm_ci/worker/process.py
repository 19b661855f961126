"""The worker process: joins, runs what it is given, and leaves without losing any of it."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import structlog

from mvm_ci.adapters.system import spare_collections
from mvm_ci.peer.background import background, first
from mvm_ci.peer.link import Link
from mvm_ci.peer.parts import Fitted, PeerParts, Surroundings, opened_parts, opened_state
from mvm_ci.peer.progress import PeerProgress
from mvm_ci.peer.settings import PeerSettings
from mvm_ci.ports.engine import EngineEvents, Hosted
from mvm_ci.wire.messages import Draining, Goodbye
from mvm_ci.worker.holdings import Holdings

TICK_MS: Final = 500
HAND_OVER_MS: Final = 10_000
"""Beyond the grace: time for guests to be handed over, and for their ends to be recorded."""
GOODBYE_MS: Final = 2_000
LEAVE_S: Final = 10.0
"""For runners and endpoint to be closed."""

log = structlog.get_logger()


Fit = Callable[[PeerParts, EngineEvents], Awaitable[Fitted]]
"""Makes the worker's engine, which the worker starts and closes. What it raises ends the worker."""


class Worker:
    """A worker. ``run`` once."""

    def __init__(self, settings: PeerSettings, around: Surroundings, fit: Fit) -> None:
        self._settings = settings
        self._around = around
        self._clock = around.clock
        self._supervisor = around.supervisor
        self._fit = fit
        self._holdings = Holdings(self._clock)
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
        async with opened_state(self._settings) as state:
            with self._signals():
                async with opened_parts(self._settings, state, self._holdings, self._around) as parts:
                    await self._run(parts, self._holdings)

    async def _run(self, parts: PeerParts, holdings: Holdings) -> None:
        async with contextlib.AsyncExitStack() as stack:
            fitted = await self._fit(parts, holdings)
            engine, intake = fitted.engine, fitted.intake
            stack.push_async_callback(engine.close)
            holdings.fitted(engine, fitted.reachable, shared=not fitted.runs_here)
            # Beside the link: jobs of a process before this one are given back by its Hello, and a start of
            # many runners must not keep them waiting.
            stack.push_async_callback(intake.close)
            starting = await stack.enter_async_context(background(self._start(engine, holdings)))
            linked = await stack.enter_async_context(background(parts.link.run(intake)))
            ticking = await stack.enter_async_context(background(self._tick(engine, holdings)))
            progress = PeerProgress(engine, parts.link, holdings, self._clock, runs=fitted.runs_here)
            await stack.enter_async_context(background(self._supervisor.follow(progress)))
            await stack.enter_async_context(background(self._tell_ready(starting, parts.link, progress)))
            await first(starting, linked, ticking, self._leave.wait())
            if starting.done():
                await starting
                await first(linked, ticking, self._leave.wait())
            for part in (linked, ticking):
                if part.done():
                    await part  # it ends only by an error
            # No effect may leave once nobody renews the lease.
            stack.callback(parts.lease.end)
            await self._hand_over(engine, holdings, linked)
            if linked.done():
                await linked
        log.info("worker_stopped")

    async def _start(self, engine: Hosted, holdings: Holdings) -> None:
        await engine.start()
        log.info("worker_started", name=self._settings.name, slots=engine.slots)
        holdings.engine_started()
        spare_collections()

    async def _tell_ready(self, starting: asyncio.Task[None], link: Link, progress: PeerProgress) -> None:
        await asyncio.shield(starting)
        await link.connection()
        self._supervisor.ready(progress.status)

    async def _hand_over(self, engine: Hosted, holdings: Holdings, linked: asyncio.Task[None]) -> None:
        log.info("worker_draining", grace_s=self._settings.grace_s, running=len(holdings.running))
        outbox = holdings.outbox
        holdings.draining = True
        outbox.post(Draining())
        limit_ms = self._settings.grace_s * 1000 + HAND_OVER_MS
        running = f"draining, {len(holdings.running)} jobs run or wait here"
        self._supervisor.stopping(running, (limit_ms + HAND_OVER_MS + GOODBYE_MS) / 1000 + LEAVE_S)
        async with background(engine.drain(self._settings.grace_s)) as draining:
            await first(draining, linked, self._quit.wait(), self._clock.sleep(limit_ms))
            if draining.done():
                await draining
        # A moment for the last ends, even if the connection is down just now.
        await first(outbox.until_settled(), linked, self._quit.wait(), self._clock.sleep(HAND_OVER_MS))
        if self._quit.is_set() or linked.done() or not outbox.attached:
            log.warning("worker_left_without_goodbye", unrecorded=len(list(outbox.unrecorded)))
            return
        # Closing at once would throw away what the network has not delivered: the control plane hangs up.
        outbox.post(Goodbye())
        await first(linked, outbox.until_detached(), self._quit.wait(), self._clock.sleep(GOODBYE_MS))

    async def _tick(self, engine: Hosted, holdings: Holdings) -> None:
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

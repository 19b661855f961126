"""``EnginePool``: the engine of a worker, or of a service of its own; implements ``ports.engine.Engine``.

::

    place ──▶ Preparation ──▶ ready ──▶ Crew ══ sockets ══▶ runner processes, many guests each
                                          │ ▲
          Journaling ◀── entries ─────────┤ │ durable, answers
          Effects ◀── requests, blobs ────┘ │
             └──────────────────────────────┘

Everything here runs on the event loop and waits for nothing that a guest does. A guest that does not leave
when told to loses its runner; a runner that dies costs each guest in it a replay from the entries that were
durable.
"""

import asyncio
import os
from collections.abc import Collection, Sequence
from typing import Final

import structlog

from mvm_ci.domain.ids import format_job_id
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import OVERDUE, Failed, Outcome, Released, Stopped
from mvm_ci.domain.segment import Segment
from mvm_ci.engine.artifact_desk import ArtifactDesk
from mvm_ci.engine.crew import Crew
from mvm_ci.engine.deadlines import Deadlines
from mvm_ci.engine.effects import Effects
from mvm_ci.engine.journaling import Journaling
from mvm_ci.engine.live import Live
from mvm_ci.engine.messages import HttpCall, Post, Question, Result, Tell
from mvm_ci.engine.preparation import Preparation
from mvm_ci.engine.questions import Questions
from mvm_ci.engine.reports import Reports
from mvm_ci.engine.settings import PoolSettings
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.engine import (
    ArtifactFiles,
    ControlPlane,
    Ended,
    EngineEvents,
    JournalSink,
    Lease,
    PayloadStore,
    Placement,
)
from mvm_ci.ports.http_client import HttpClient

_log = structlog.get_logger(__name__)
_TICK_S: Final = 0.02
_STOP_S: Final = 0.05
"""Who cancels is told after this long, even if the guest is at something that cannot be interrupted."""
_OBEY_S: Final = 1.0
_RERUNS: Final = 3


class EnginePool:
    """See the module's docstring. To be made, started and used on the main thread's event loop."""

    def __init__(  # noqa: PLR0913 (what it works with, given once at the start)
        self,
        settings: PoolSettings,
        *,
        journal: JournalSink,
        plane: ControlPlane,
        lease: Lease,
        payloads: PayloadStore,
        artifacts: ArtifactFiles,
        http: HttpClient,
        events: EngineEvents,
        clock: Clock,
    ) -> None:
        slots = settings.slots or os.cpu_count() or 1
        self._loop = asyncio.get_running_loop()
        self._crew = Crew(slots, settings.runners, self)
        self._slots = min(slots, self._crew.capacity)
        self._reports = Reports(events)
        self._plane = plane
        self._desk = ArtifactDesk(artifacts)
        effects = Effects(lease, http, plane, payloads, self._desk, clock)
        self._questions = Questions(effects, answer=self._crew.answer, failed=self._end)
        self._preparation = Preparation(payloads, self._desk, clock, ready=self._queue, failed=self._finish)
        self._journaling = Journaling(
            journal,
            durable=self._crew.durable,
            refused=self._forget,
            broken=self._broken,
            drained=self._drained,
        )
        self._lives: dict[Placed, Live] = {}
        self._leaving, self._time_outs, self._deadlines = Deadlines(), Deadlines(), Deadlines()
        self._empty = asyncio.Event()
        self._empty.set()
        self._tick_handle: asyncio.TimerHandle | None = None
        self._number = 0
        self._draining = False
        self._closing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts the runners; returns when all are ready. Raises ``Unavailable``, none left, if one fails."""
        try:
            await self._crew.start()
        except BaseException:
            await self.close()
            raise

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def runners(self) -> int:
        return len(self._crew.pids())

    @property
    def capacity(self) -> int:
        return self._crew.capacity

    @property
    def extra(self) -> int:
        return self._crew.extra

    @property
    def runner_pids(self) -> list[int]:
        """For people and tests."""
        return self._crew.pids()

    def place(self, placements: Sequence[Placement]) -> None:
        for placement in placements:
            if self._closing is not None or placement.placed in self._lives:
                continue
            if self._draining:
                self._reports.ended(Ended(placed=placement.placed, outcome=Released()))
                continue
            self._number += 1
            live = Live(self._number, placement)
            self._lives[live.placed] = live
            self._empty.clear()
            if placement.left_ms is not None:
                self._deadlines.add(live, self._loop.time() + placement.left_ms / 1000)
                self._tick_soon()
            self._preparation.prepare(live)

    def stop(self, placed: Placed) -> None:
        if (live := self._lives.get(placed)) is not None:
            self._end(live, Stopped())

    def cancel(self, placed: Placed) -> None:
        live = self._lives.get(placed)
        if live is None or live.cancelled:
            return
        grace_ms = live.placement.spec.cancel_grace_ms
        if not grace_ms or (live.seat is None and not live.durable):
            self._end(live, Stopped())
            return
        live.cancelled = True
        self._crew.cancel(live)
        self._time_outs.add(live, self._loop.time() + grace_ms / 1000)
        self._tick_soon()

    def drop(self, placements: Sequence[Placed]) -> None:
        for placed in placements:
            if (live := self._lives.get(placed)) is not None:
                self._forget(live)

    def release_waiting(self, only: Collection[Placed] | None = None) -> None:
        for live in self._among(only):
            if not live.under_way:
                self._end(live, Released())

    def release_all(self, only: Collection[Placed] | None = None) -> None:
        for live in self._among(only):
            self._end(live, Released())

    def _among(self, only: Collection[Placed] | None) -> list[Live]:
        found = self._lives.values() if only is None else map(self._lives.get, only)
        return [live for live in found if live is not None]

    async def drain(self, grace_s: float) -> None:
        self._draining = True
        self.release_waiting()
        try:
            async with asyncio.timeout(grace_s):
                await self._empty.wait()
        except TimeoutError:
            self.release_all()
        await self._empty.wait()

    async def close(self) -> None:
        if self._closing is None:
            self._closing = self._loop.create_task(self._close())
        await asyncio.shield(self._closing)  # who is interrupted there can call this again

    async def _close(self) -> None:
        if self._tick_handle is not None:
            self._tick_handle.cancel()
        tasks = self._questions.close()
        for live in [*self._lives.values(), *self._leaving]:
            live.gone = True
            live.cancel_tasks()
            self._desk.over(live)
            tasks.update(task for task in (live.preparing, live.effect) if task is not None)
        self._lives.clear()
        await self._preparation.close()
        await self._crew.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._reports.close()
        self._empty.set()

    # ------------------------------------------------------------------ the ways out

    def _end(self, live: Live, outcome: Outcome) -> None:
        """Ends a placement from outside, wherever it is; the first reason counts, but a stop counts more."""
        if live.leaving and not (
            isinstance(outcome, Stopped) and not isinstance(live.leave_outcome, Stopped)
        ):
            return
        live.leaving = True
        live.leave_outcome = outcome
        live.cancel_effect()
        if live.seat is not None:
            self._crew.leave(live, outcome)
            self._must_leave(live)
        else:
            if live.preparing is not None:
                live.preparing.cancel()
            self._finish(live, *(live.final or (outcome, None)))

    def _finish(self, live: Live, outcome: Outcome, tail: Segment | None = None) -> None:
        """Reports the end, once what was posted is durable: the tail begins where that ends."""
        if live.appending is not None:
            if not isinstance(outcome, Stopped) or not live.leaving:
                live.final = (outcome, tail)
                for times in (self._time_outs, self._deadlines):
                    times.discard(live)
                if live.leaving:
                    self._must_leave(live)
                return
            live.stop_appending()  # nobody reads its journal, and whoever cancels waits
            tail = None
        self._remove(live)
        self._reports.ended(Ended(placed=live.placed, outcome=outcome, tail=tail, run_ns=live.run_ns))

    def _forget(self, live: Live) -> None:
        """Ends a placement without a report."""
        self._remove(live)
        live.cancel_tasks()
        if live.seat is not None:
            live.leaving = True
            live.leave_outcome = None
            self._crew.leave(live, None)
            self._must_leave(live)

    def _must_leave(self, live: Live) -> None:
        self._leaving.add(live, self._loop.time() + (_STOP_S if live.stopping else _OBEY_S))
        self._tick_soon()

    def _remove(self, live: Live) -> None:
        live.gone = True
        for times in (self._leaving, self._time_outs, self._deadlines):
            times.discard(live)
        self._lives.pop(live.placed, None)
        self._desk.over(live)
        if not self._lives:
            self._empty.set()

    # ------------------------------------------------------------------ what the crew says

    def on_over(self, live: Live, result: Result) -> None:
        """Its runner is done with it."""
        self._leaving.discard(live)
        live.cancel_effect()
        if live.gone:
            return
        live.run_ns = result.run_ns
        outcome = live.leave_outcome if result.outcome is None else result.outcome
        if result.unloadable and not live.reloaded and not live.leaving:
            # The compiler's cache may have been cleared under us: once more with what it says now.
            live.reloaded = True
            self._preparation.forget(live.placement.spec.module)
            self._preparation.prepare(live)
        elif outcome is None:
            _log.error("dropped_unasked", job=format_job_id(live.placed.job))
            self._queue(live)
        else:
            self._finish(live, outcome, result.tail)

    def on_post(self, live: Live, message: Post) -> None:
        """It posted entries."""
        if not live.gone:
            self._begin(live)
            self._reports.tell_starts()
            self._journaling.post(live, message.segment)

    def on_question(self, live: Live, question: Question) -> None:
        """It waits for an answer."""
        if live.gone or (live.leaving and isinstance(question, HttpCall)):
            return
        self._begin(live)
        self._reports.freed()
        self._questions.ask(live, question)

    def on_tell(self, live: Live, message: Tell) -> None:
        """It told the control plane something."""
        if not live.gone:
            self._plane.tell(live.placed, message.name, message.argument)

    def on_awake(self, live: Live) -> None:
        """It goes on without an answer."""
        live.cancel_effect()

    def on_sleep(self, live: Live) -> None:
        """It waits for a time."""
        if not live.gone:
            self._begin(live)
            self._reports.freed()

    def on_runner_died(self, live: Live, how: str) -> None:
        """Its runner died."""
        self._leaving.discard(live)
        live.cancel_effect()
        if live.gone:
            return
        if live.leaving and live.leave_outcome is not None:
            self._finish(live, live.leave_outcome)
        elif live.deaths > _RERUNS:
            self._finish(live, live.deadly(how))
        elif live.appending is not None:
            live.queue_again = True  # what is on its way belongs to what the next runner is fed
        else:
            self._crew.add(live, first=True)

    # ------------------------------------------------------------------ what the journal says

    def _broken(self, live: Live) -> None:
        self._forget(live)  # its runner need not try to save entries that nobody takes
        self._reports.ended(Ended(placed=live.placed, outcome=Released()))

    def _drained(self, live: Live) -> None:
        if live.final is not None:
            self._finish(live, *live.final)
        elif live.queue_again:
            live.queue_again = False
            self._crew.add(live, first=True)

    # ------------------------------------------------------------------ time

    def _queue(self, live: Live) -> None:
        self._crew.add(live)
        self._tick_soon()

    def _begin(self, live: Live) -> None:
        if live.begun is None:
            live.begun = self._loop.time()
            if not live.cancelled:
                self._time_outs.add(live, live.begun + live.placement.spec.timeout_ms / 1000)
        if not live.started and not live.gone:
            live.started = True
            self._reports.started(live.placed)

    def _tick_soon(self) -> None:
        if self._tick_handle is None and self._closing is None:
            self._tick_handle = self._loop.call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        """Looks at the runners, and at whose time is over; runs only while there are placements."""
        self._tick_handle = None
        now = self._loop.time()
        for live in self._crew.overdue():
            if not live.gone:
                self._begin(live)
        for live in self._time_outs.passed(now):
            self._end(live, Stopped() if live.cancelled else live.too_long())
        for live in self._deadlines.passed(now):
            self._end(live, Stopped() if live.cancelled else Failed(OVERDUE))
        self._crew.kill_silent(now)
        for live in self._leaving.passed(now):
            self._enforce(live)
        if self._lives or self._leaving:
            self._tick_soon()

    def _enforce(self, live: Live) -> None:
        """It was told to leave, a second ago or so."""
        if live.stopping:
            # No effect of it leaves any more, and its runner has until its second is over.
            self._forget(live)
            self._reports.ended(Ended(placed=live.placed, outcome=Stopped()))
        elif live.seat is not None and not live.insisted:
            # It may wait for what is away, to end properly: its neighbours shall not pay for that.
            live.insisted = True
            self._crew.leave(live, None)
            self._must_leave(live)
        elif live.seat is not None:
            self._crew.kill_runner_of(live)
        elif live.final is not None and live.appending is not None:
            # The journal cannot be written: what is durable is what the next placement goes on from.
            live.stop_appending()
            self._finish(live, live.final[0])

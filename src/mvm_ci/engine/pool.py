"""``EnginePool``: the engine of a worker, or of a service of its own; implements ``ports.engine.Engine``.

::

    place ──▶ Preparation ──▶ ready ──▶ Crew ══ sockets ══▶ runner processes, one guest each
                                          │ ▲
          Journaling ◀── entries ─────────┤ │ durable, answers
          Effects ◀── requests, blobs ────┘ │
             └──────────────────────────────┘

Everything here runs on the event loop and waits for nothing that a guest does. A guest that does not leave
when told to loses its runner; a runner that dies costs a replay from the entries that were durable.
"""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog

from mvm_ci.domain.ids import format_job_id
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Failed, Failure, FailureKind, Outcome, Released, Stopped
from mvm_ci.domain.segment import Segment
from mvm_ci.engine.crew import Crew, Seat
from mvm_ci.engine.effects import Effects
from mvm_ci.engine.journaling import Journaling
from mvm_ci.engine.live import Live
from mvm_ci.engine.messages import Durable, GetBlob, HttpCall, Post, PutBlob, Result
from mvm_ci.engine.preparation import Preparation
from mvm_ci.engine.reports import Reports
from mvm_ci.engine.runner_process import RunnerSettings
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.engine import Ended, EngineEvents, JournalSink, Lease, PayloadStore, Placement
from mvm_ci.ports.http_client import HttpClient

_log = structlog.get_logger(__name__)
DEFAULT_RUNTIME: Final = "mvm_ci.adapters.wasm.runtime:WasmRuntime"
_TICK_S: Final = 0.02
_OBEY_S: Final = 1.0
_RERUNS: Final = 3


class PoolSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``worker``: its name, as journals record it. ``directory``: where runners run; there must be one.

    ``slots``: how many runners (0: one per core). ``suspend_after_ms``: guests that sleep longer give their
    slot back. ``runtime``: ``module:factory`` of the ``GuestRuntime`` in the runners.
    """

    worker: str
    directory: Path
    slots: int = 0
    suspend_after_ms: int = 5_000
    runtime: str = DEFAULT_RUNTIME


class EnginePool:
    """See the module's docstring. To be made, started and used on the main thread's event loop."""

    def __init__(
        self,
        settings: PoolSettings,
        *,
        journal: JournalSink,
        lease: Lease,
        payloads: PayloadStore,
        http: HttpClient,
        events: EngineEvents,
        clock: Clock,
    ) -> None:
        self._slots = settings.slots or os.cpu_count() or 1
        self._loop = asyncio.get_running_loop()
        self._crew = Crew(self._slots, _runner_settings(settings), self)
        self._reports = Reports(events)
        self._effects = Effects(lease, http, payloads, clock)
        self._preparation = Preparation(payloads, clock, ready=self._queue, failed=self._fail)
        self._journaling = Journaling(
            journal, durable=self._durable, refused=self._forget, broken=self._broken, drained=self._drained
        )
        self._lives: dict[Placed, Live] = {}
        self._leaving: set[Live] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._tick_handle: asyncio.TimerHandle | None = None
        self._number = 0
        self._draining = False
        self._closed = False

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
    def runner_pids(self) -> list[int]:
        """The process ids of the runners, for people and tests."""
        return self._crew.pids()

    def place(self, placements: Sequence[Placement]) -> None:
        for placement in placements:
            if self._closed or placement.placed in self._lives:
                continue
            if self._draining:
                self._reports.ended(Ended(placed=placement.placed, outcome=Released()))
                continue
            self._number += 1
            live = Live(self._number, placement)
            self._lives[live.placed] = live
            self._empty.clear()
            self._preparation.prepare(live)

    def stop(self, placed: Placed) -> None:
        live = self._lives.get(placed)
        if live is not None:
            self._end(live, Stopped())

    def drop(self, placements: Sequence[Placed]) -> None:
        for placed in placements:
            live = self._lives.get(placed)
            if live is not None:
                self._forget(live)

    def release_waiting(self) -> None:
        for live in list(self._lives.values()):
            if not live.seated and live.begun is None and live.final is None:
                self._end(live, Released())
        self._crew.release_waiting()

    def release_all(self) -> None:
        for live in list(self._lives.values()):
            self._end(live, Released())

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
        if self._closed:
            return
        self._closed = True
        if self._tick_handle is not None:
            self._tick_handle.cancel()
        tasks = set(self._tasks)
        for live in [*self._lives.values(), *self._leaving]:
            live.gone = True
            live.cancel_tasks()
            tasks.update(task for task in (live.preparing, live.pump, live.effect) if task is not None)
        for task in self._tasks:
            task.cancel()
        self._lives.clear()
        self._leaving.clear()
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
        live.leave_by = self._loop.time() + _OBEY_S
        if live.effect is not None:
            live.effect.cancel()
        if live.seated:
            self._leaving.add(live)
            self._crew.leave(live, outcome)
            self._tick_soon()
        else:
            if live.preparing is not None:
                live.preparing.cancel()
            self._finish(live, *(live.final or (outcome, None)))

    def _finish(self, live: Live, outcome: Outcome, tail: Segment | None) -> None:
        """Reports the end, once what was posted is durable: the tail begins where that ends."""
        if live.pump is not None:
            if not isinstance(outcome, Stopped) or not live.leaving:
                live.final = (outcome, tail)
                if live.leaving:
                    self._leaving.add(live)
                    self._tick_soon()
                return
            # Nobody reads the journal of a cancelled job, and whoever cancels waits.
            live.pump.cancel()
            tail = None
        self._remove(live)
        self._reports.ended(Ended(placed=live.placed, outcome=outcome, tail=tail, run_ns=live.run_ns))

    def _forget(self, live: Live) -> None:
        """Ends a placement without a report."""
        self._remove(live)
        live.cancel_tasks()
        if live.seated:
            live.leaving = True
            live.leave_outcome = None
            live.leave_by = self._loop.time() + _OBEY_S
            self._leaving.add(live)
            self._crew.leave(live, None)
            self._tick_soon()

    def _remove(self, live: Live) -> None:
        live.gone = True
        self._leaving.discard(live)
        self._lives.pop(live.placed, None)
        if not self._lives:
            self._empty.set()

    def _fail(self, live: Live, outcome: Outcome) -> None:
        self._finish(live, outcome, None)

    # ------------------------------------------------------------------ what the crew says

    def on_over(self, live: Live, result: Result) -> None:
        """Its runner is done with it."""
        self._leaving.discard(live)
        if live.effect is not None:
            live.effect.cancel()
        if live.gone:
            return
        live.run_ns = result.run_ns
        if result.unloadable and not live.reloaded and not live.leaving:
            # The compiler's cache may have been cleared under us: once more with what it says now.
            live.reloaded = True
            self._preparation.forget(live.placement.spec.module)
            self._preparation.prepare(live)
        elif result.outcome is None:
            _log.error("dropped_unasked", job=format_job_id(live.placed.job))
            self._queue(live)
        else:
            self._finish(live, result.outcome, result.tail)

    def on_post(self, live: Live, message: Post) -> None:
        """It posted entries."""
        if not live.gone:
            self._begin(live)
            self._journaling.post(live, message.segment)

    def on_question(self, live: Live, question: HttpCall | PutBlob | GetBlob, seat: Seat) -> None:
        """Its runner waits for an answer."""
        if live.gone or (live.leaving and isinstance(question, HttpCall)):
            return
        self._begin(live)
        live.effect = self._loop.create_task(self._serve(live, question, seat))
        self._tasks.add(live.effect)
        live.effect.add_done_callback(self._tasks.discard)

    def on_back(self, live: Live, *, release: bool) -> None:
        """It was handed over, did not begin, and came back."""
        self._leaving.discard(live)
        if live.gone:
            return
        if live.leaving and live.leave_outcome is not None:
            self._finish(live, live.leave_outcome, None)
        elif release:
            self._finish(live, Released(), None)
        else:
            self._crew.ready.appendleft(live)

    def on_runner_died(self, live: Live, *, suspect: bool, how: str) -> None:
        """Its runner died; ``suspect``: it was the only one there."""
        self._leaving.discard(live)
        if live.effect is not None:
            live.effect.cancel()
        if live.gone:
            return
        if live.leaving and live.leave_outcome is not None:
            self._finish(live, live.leave_outcome, None)
            return
        live.alone = True
        live.deaths += suspect
        if live.deaths > _RERUNS:
            message = f"its runner died {live.deaths} times under it, the last time {how}"
            self._finish(live, Failed(Failure(kind=FailureKind.ENGINE, message=message)), None)
        elif live.pump is not None:
            # What is on its way may become durable yet, and then belongs to what the next runner is fed.
            live.queue_again = True
        else:
            self._crew.ready.appendleft(live)

    async def _serve(self, live: Live, question: HttpCall | PutBlob | GetBlob, seat: Seat) -> None:
        process = seat.process
        try:
            answer = await self._effects.serve(question, live.placement.spec.allow_hosts)
        except Exception:  # noqa: BLE001 - it is logged, and the runner does not wait for ever
            # The guest waits for an answer that will not come: without its runner it is run again, or given
            # up.
            _log.exception("question_not_answered", job=format_job_id(live.placed.job))
            if process is not None:
                process.kill()
            return
        finally:
            if live.effect is asyncio.current_task():
                live.effect = None
        if process is not None and live.seated and live.number in seat.tasks:
            process.send(answer)

    # ------------------------------------------------------------------ what the journal says

    def _durable(self, live: Live) -> None:
        self._crew.tell(live, Durable(live.number, live.acked))

    def _broken(self, live: Live) -> None:
        # Its runner need not try to save entries that nobody takes.
        self._forget(live)
        self._reports.ended(Ended(placed=live.placed, outcome=Released()))

    def _drained(self, live: Live) -> None:
        if live.final is not None:
            self._finish(live, *live.final)
        elif live.queue_again:
            live.queue_again = False
            self._crew.ready.appendleft(live)
            self._crew.assign_soon()

    # ------------------------------------------------------------------ time

    def _queue(self, live: Live) -> None:
        self._crew.ready.append(live)
        self._crew.assign_soon()
        self._tick_soon()

    def _begin(self, live: Live) -> None:
        if live.begun is None:
            live.begun = self._loop.time()
        if not live.started and not live.gone:
            live.started = True
            self._reports.started(live.placed)

    def _tick_soon(self) -> None:
        if self._tick_handle is None and not self._closed:
            self._tick_handle = self._loop.call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        """Looks at each runner once; runs only while there are placements."""
        self._tick_handle = None
        now = self._loop.time()
        for live, since in self._crew.heads():
            if not live.gone and not live.started and now - since >= _TICK_S:
                self._begin(live)
            if live.begun is not None and not live.leaving:
                limit_ms = live.placement.spec.timeout_ms
                if now - live.begun > limit_ms / 1000:
                    message = f"it ran for longer than {limit_ms} ms"
                    self._end(live, Failed(Failure(kind=FailureKind.TIME, message=message)))
        self._crew.recall_behind_slow(now)
        self._crew.kill_silent(now)
        for live in [live for live in self._leaving if now > live.leave_by]:
            self._enforce(live)
        if self._lives or self._leaving:
            self._tick_soon()

    def _enforce(self, live: Live) -> None:
        """It was told to leave a second ago."""
        self._leaving.discard(live)
        if live.seated:
            self._crew.kill_runner_of(live)
        elif live.final is not None and live.pump is not None:
            # The journal cannot be written: what is durable is what the next placement goes on from.
            live.pump.cancel()
            live.pump = None
            self._finish(live, live.final[0], None)


def _runner_settings(settings: PoolSettings) -> RunnerSettings:
    return RunnerSettings(
        place=settings.worker,
        suspend_after_ms=settings.suspend_after_ms,
        directory=settings.directory,
        runtime=settings.runtime,
    )

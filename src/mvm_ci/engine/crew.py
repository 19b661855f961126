"""The runners, and who runs what: keeps each seat filled with a process, hands ready placements to free
seats.

A placement whose module is known to be quick shares a hand-over with others; all else has a runner for
itself. What was handed over behind a guest that turns out to be slow is taken back and goes to another
runner.
"""

import asyncio
import os
from collections import deque
from typing import Final, Protocol

import structlog

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import format_job_id
from mvm_ci.domain.outcome import Outcome
from mvm_ci.engine.live import Live
from mvm_ci.engine.messages import (
    AreYouThere,
    Durable,
    FromRunner,
    GetBlob,
    Here,
    HttpCall,
    LeaveNow,
    Post,
    PutBlob,
    Ready,
    Recall,
    Recalled,
    Result,
    Results,
    Run,
    Task,
)
from mvm_ci.engine.run_times import RunTimes
from mvm_ci.engine.runner_process import RunnerProcess, RunnerSettings
from mvm_ci.ports.guest import CompiledModule

_log = structlog.get_logger(__name__)
BATCH: Final = 64
"""Placements that one runner has at most at once."""
_TOP_UP_BELOW: Final = BATCH // 2
_BATCH_NS: Final = 20_000_000
_SLOW_S: Final = 0.05
ASK_S: Final = 5.0
"""A runner that has work and says nothing for so long is asked whether it is there."""
HANG_S: Final = 30.0
"""One that says nothing for so long stands still: it is killed, and what it ran goes on in another."""
_LONGEST_LOOK_S: Final = 0.1
"""Time between two looks that counts at most: when this process stood still, no runner is to blame."""
_RESTART_S: Final = (0.05, 0.2, 1.0, 5.0)


class Owner(Protocol):
    """What the crew tells the pool."""

    def on_over(self, live: Live, result: Result) -> None:
        """Its runner is done with it."""
        ...

    def on_post(self, live: Live, message: Post) -> None:
        """It posted entries."""
        ...

    def on_question(self, live: Live, question: HttpCall | PutBlob | GetBlob, seat: "Seat") -> None:
        """Its runner waits for an answer."""
        ...

    def on_back(self, live: Live, *, release: bool) -> None:
        """It was handed over, did not begin, and came back."""
        ...

    def on_runner_died(self, live: Live, *, suspect: bool, how: str) -> None:
        """Its runner died; ``suspect``: it was the only one there."""
        ...


class Seat:
    """A place for one runner. ``blocked``: what it has takes long. ``usable``: its process is ready.
    ``silent_s``: since it said something; ``asked``: whether it is there.
    """

    __slots__ = (
        "asked",
        "blocked",
        "filler",
        "head_since",
        "process",
        "recalling",
        "release",
        "silent_s",
        "tasks",
        "usable",
    )

    def __init__(self) -> None:
        self.process: RunnerProcess | None = None
        self.filler: asyncio.Task[None] | None = None
        self.usable = False
        self.tasks: dict[int, Live] = {}
        self.head_since = 0.0
        self.blocked = False
        self.recalling = False
        self.release = False
        self.silent_s = 0.0
        self.asked = False


class Crew:
    """See the module's docstring. All methods are called on the event loop."""

    def __init__(self, slots: int, settings: RunnerSettings, owner: Owner) -> None:
        self.seats = [Seat() for _ in range(slots)]
        self.ready: deque[Live] = deque()
        self._settings = settings
        self._owner = owner
        self._times = RunTimes()
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._assigning = False
        self._looked = self._loop.time()

    async def start(self) -> None:
        """Starts all runners. Raises ``Unavailable`` if one cannot be started."""
        # As many at once as there are cores: the first ones can work while the others come up, and guests of
        # other workers on this machine are not starved meanwhile.
        cores = asyncio.Semaphore(os.cpu_count() or 1)

        async def start(seat: Seat) -> None:
            async with cores:
                await self._start_process(seat)

        starts = [asyncio.ensure_future(start(seat)) for seat in self.seats]
        try:
            await asyncio.gather(*starts)
        finally:
            for one in starts:
                one.cancel()
            await asyncio.gather(*starts, return_exceptions=True)

    async def close(self) -> None:
        """Kills all runners and waits until they are gone."""
        self._closed = True
        fillers = [seat.filler for seat in self.seats if seat.filler is not None]
        for filler in fillers:
            filler.cancel()
        await asyncio.gather(*fillers, return_exceptions=True)
        processes = [seat.process for seat in self.seats if seat.process is not None]
        await asyncio.gather(*(process.close() for process in processes))

    def pids(self) -> list[int]:
        """The process ids of the runners that are ready."""
        return [seat.process.pid for seat in self.seats if seat.process is not None and seat.usable]

    def assign_soon(self) -> None:
        """Hands over what is ready, once, at the loop's next turn."""
        if self.ready and not self._assigning and not self._closed:
            self._assigning = True
            self._loop.call_soon(self._assign)

    def leave(self, live: Live, outcome: Outcome | None) -> None:
        """Tells its runner to end it."""
        seat = self._seat_of(live)
        if seat is not None and seat.process is not None:
            order = LeaveNow(live.number, outcome)
            # Whichever way the runner looks: while it waits, or while it computes.
            seat.process.send(order)
            seat.process.send_control(order)

    def tell(self, live: Live, message: Durable) -> None:
        """Sends ``message`` to its runner, if it has one."""
        seat = self._seat_of(live)
        if seat is not None and seat.process is not None:
            seat.process.send(message)

    def heads(self) -> list[tuple[Live, float]]:
        """For each runner with work the placement that it runs, as far as is known here, and since when."""
        return [(next(iter(seat.tasks.values())), seat.head_since) for seat in self.seats if seat.tasks]

    def kill_runner_of(self, live: Live) -> None:
        """Its runner does not obey."""
        seat = self._seat_of(live)
        if seat is not None and seat.process is not None:
            _log.warning("runner_disobeys", job=format_job_id(live.placed.job), pid=seat.process.pid)
            seat.process.kill()

    def release_waiting(self) -> None:
        """Takes back what no runner has begun."""
        for seat in self.seats:
            if len(seat.tasks) > 1:
                seat.release = True
                self._recall(seat)

    def recall_behind_slow(self, now: float) -> None:
        """Takes back what waits behind a guest that runs for long."""
        for seat in self.seats:
            if len(seat.tasks) > 1 and now - seat.head_since > _SLOW_S and not seat.recalling:
                head = next(iter(seat.tasks.values()))
                self._times.at_least(head.placement.spec.module, int(_SLOW_S * 1e9))
                self._recall(seat)

    def kill_silent(self, now: float) -> None:
        """Looks for runners that have work and stand still; called again and again while there is work."""
        passed = min(now - self._looked, _LONGEST_LOOK_S)
        self._looked = now
        for seat in self.seats:
            if seat.process is None or not seat.tasks:
                continue
            seat.silent_s += passed
            if seat.silent_s >= HANG_S:
                _log.warning("runner_stands_still", pid=seat.process.pid, tasks=len(seat.tasks))
                seat.silent_s = 0.0
                seat.process.kill()
            elif seat.silent_s >= ASK_S and not seat.asked:
                seat.asked = True
                seat.process.send_control(AreYouThere())

    # ------------------------------------------------------------------ handing over

    def _assign(self) -> None:
        self._assigning = False
        open_seats = sorted((seat for seat in self.seats if _open(seat)), key=lambda seat: len(seat.tasks))
        share = min(BATCH, -(-len(self.ready) // max(1, len(open_seats))))
        for seat in open_seats:
            batch = self._take_batch(seat, share)
            if batch:
                self._hand_over(seat, batch)

    def _take_batch(self, seat: Seat, share: int) -> list[Live]:
        batch: list[Live] = []
        total_ns = 0.0
        while self.ready and len(batch) < share and len(seat.tasks) + len(batch) < BATCH:
            live = self.ready[0]
            if live.gone:
                self.ready.popleft()
                continue
            small = None if live.alone else self._times.small(live.placement.spec.module)
            if small is None:
                # It needs the runner for itself: the next seat, or this one when it is empty.
                if not seat.tasks and not batch:
                    seat.blocked = True
                    batch.append(self.ready.popleft())
                break
            total_ns += small
            if batch and total_ns > _BATCH_NS:
                break
            batch.append(self.ready.popleft())
        return batch

    def _hand_over(self, seat: Seat, batch: list[Live]) -> None:
        assert seat.process is not None  # noqa: S101 - an open seat has one
        if not seat.tasks:
            seat.head_since = self._loop.time()
            seat.silent_s, seat.asked = 0.0, False
        modules: dict[str, int] = {}
        kept: list[CompiledModule] = []
        tasks = []
        for live in batch:
            module, payload = live.module, live.payload
            if module is None or payload is None:
                raise RuntimeError("a placement was queued before it was prepared")
            index = modules.get(module.digest)
            if index is None:
                index = modules[module.digest] = len(kept)
                kept.append(module)
            live.acked = 0
            live.seated = True
            seat.tasks[live.number] = live
            placement = live.placement
            memory = placement.spec.memory_bytes
            journal = tuple(live.durable)
            tasks.append(Task(live.number, index, payload, memory, live.placed, placement.attempt, journal))
        seat.process.send(Run(tuple(kept), tuple(tasks)))

    def _recall(self, seat: Seat) -> None:
        if seat.process is not None:
            seat.recalling = True
            seat.blocked = True
            seat.process.send_control(Recall())

    # ------------------------------------------------------------------ what runners say

    def _on_messages(self, process: RunnerProcess, messages: list[FromRunner]) -> None:
        seat = next((seat for seat in self.seats if seat.process is process), None)
        if seat is None:
            return
        seat.silent_s, seat.asked = 0.0, False
        for message in messages:
            if isinstance(message, Results):
                self._results(seat, message)
            elif isinstance(message, Recalled):
                self._recalled(seat, message)
            elif not isinstance(message, Here | Ready):
                self._asked(seat, message)
        self.assign_soon()

    def _asked(self, seat: Seat, message: Post | HttpCall | PutBlob | GetBlob) -> None:
        live = seat.tasks.get(message.number)
        if live is None:
            _log.error("unknown_task", number=message.number)
        elif isinstance(message, Post):
            self._owner.on_post(live, message)
        else:
            # It waits now; nobody else shall wait for what it waits for.
            if len(seat.tasks) > 1 and not seat.recalling:
                self._recall(seat)
            self._owner.on_question(live, message, seat)

    def _results(self, seat: Seat, results: Results) -> None:
        seat.head_since = self._loop.time()
        for result in results.items:
            live = seat.tasks.pop(result.number, None)
            if live is None:
                _log.error("unknown_task", number=result.number)
                continue
            live.seated = False
            if result.run_ns:
                self._times.observe(live.placement.spec.module, result.run_ns)
            self._owner.on_over(live, result)
        seat.blocked = seat.recalling

    def _recalled(self, seat: Seat, recalled: Recalled) -> None:
        release, seat.release, seat.recalling = seat.release, False, False
        # What remains is what runs; it may be long. The seat opens with its result.
        for number in reversed(recalled.numbers):
            live = seat.tasks.pop(number, None)
            if live is not None:
                live.seated = False
                self._owner.on_back(live, release=release)
        seat.blocked = bool(seat.tasks)

    # ------------------------------------------------------------------ processes

    async def _start_process(self, seat: Seat) -> None:
        process = RunnerProcess(self._on_messages, self._on_gone)
        seat.process = process
        try:
            await process.start(self._settings)
        except BaseException:
            if seat.process is process:
                seat.process = None
            raise
        if seat.process is process:
            seat.usable = True
            self.assign_soon()

    async def _refill(self, seat: Seat) -> None:
        for tries in range(1 << 30):
            await asyncio.sleep(_RESTART_S[min(tries, len(_RESTART_S) - 1)])
            try:
                await self._start_process(seat)
            except Unavailable as error:
                _log.error("runner_not_replaced", error=str(error))
            else:
                return

    def _on_gone(self, process: RunnerProcess) -> None:
        seat = next((seat for seat in self.seats if seat.process is process), None)
        if seat is None or self._closed:
            return
        _log.warning("runner_gone", pid=process.pid, how=process.exit_status, tasks=len(seat.tasks))
        lives = list(seat.tasks.values())
        seat.tasks.clear()
        seat.process = None
        seat.usable = seat.blocked = seat.recalling = seat.release = False
        for live in reversed(lives):
            live.seated = False
            self._owner.on_runner_died(live, suspect=len(lives) == 1, how=process.exit_status)
        seat.filler = self._loop.create_task(self._refill(seat))
        self.assign_soon()

    def _seat_of(self, live: Live) -> Seat | None:
        return next((seat for seat in self.seats if live.number in seat.tasks), None)


def _open(seat: Seat) -> bool:
    return seat.usable and not seat.blocked and len(seat.tasks) < _TOP_UP_BELOW

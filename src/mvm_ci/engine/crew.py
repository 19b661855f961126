"""The runners, and who runs what: keeps each seat filled with a process, hands ready placements to free
slots.

A guest computes, or waits in place for a time or an answer; then its slot is free for another one. So is the
part that a quick guest has of one while its entries are on their way. One that goes on does so at once,
whether or not a slot is free: those that compute share their runner's time.
"""

import asyncio
import os
from collections.abc import Iterator
from functools import partial
from typing import Final, Protocol

import structlog

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import format_job_id
from mvm_ci.domain.job import Durability
from mvm_ci.domain.outcome import Outcome
from mvm_ci.engine.line import Line
from mvm_ci.engine.live import MAX_GUESTS, Death, Live
from mvm_ci.engine.messages import (
    AreYouThere,
    Awake,
    Cancel,
    Durable,
    FromRunner,
    Here,
    LeaveNow,
    Post,
    Question,
    Ready,
    Reply,
    Result,
    Results,
    Run,
    Sleeps,
    Task,
    Tell,
)
from mvm_ci.engine.run_times import RunTimes
from mvm_ci.engine.runner_process import RunnerProcess, RunnerSettings
from mvm_ci.engine.seat import Seat
from mvm_ci.ports.guest import CompiledModule

_log = structlog.get_logger(__name__)
ASK_S: Final = 5.0
"""A runner that has work and says nothing for so long is asked whether it is there."""
HANG_S: Final = 30.0
"""One that says nothing for so long stands still: it is killed, and what it ran goes on in another."""
_LONGEST_LOOK_S: Final = 0.1
"""Time between two looks that counts at most: when this process stood still, no runner is to blame."""
PART_BYTES: Final = 16 << 20
_RESTART_S: Final = (0.05, 0.2, 1.0, 5.0)


class Owner(Protocol):
    """What the crew tells the pool."""

    def on_over(self, live: Live, result: Result) -> None:
        """Its runner is done with it."""
        ...

    def on_post(self, live: Live, message: Post) -> None:
        """It posted entries."""
        ...

    def on_question(self, live: Live, question: Question) -> None:
        """It waits for an answer: ``answer``."""
        ...

    def on_tell(self, live: Live, message: Tell) -> None:
        """It told the control plane something."""
        ...

    def on_awake(self, live: Live) -> None:
        """It goes on without an answer."""
        ...

    def on_sleep(self, live: Live) -> None:
        """It waits for a time."""
        ...

    def on_runner_died(self, live: Live, how: str) -> None:
        """Its runner died."""
        ...


class Crew:
    """See the module's docstring. All methods are called on the event loop."""

    def __init__(self, slots: int, settings: RunnerSettings, owner: Owner) -> None:
        # More processes than cores would run no more at once, and cost memory.
        runners = min(slots, os.cpu_count() or 1)
        self.seats = [Seat(index, slots // runners + (index < slots % runners)) for index in range(runners)]
        self._settings = settings
        self._owner = owner
        self._times = RunTimes()
        self._line = Line(self._times)
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._assigning = False
        self._looked = self._loop.time()
        self._looks = 0
        self._fresh: list[Live] = []
        self._fresh_before: list[Live] = []

    async def start(self) -> None:
        """Starts all runners. Raises ``Unavailable`` if one cannot be started."""
        starts = [asyncio.ensure_future(self._start_process(seat)) for seat in self.seats]
        try:
            await asyncio.gather(*starts)
        finally:
            for one in starts:
                one.cancel()
            await asyncio.gather(*starts, return_exceptions=True)

    async def close(self) -> None:
        """Kills all runners and waits until they are gone."""
        self._closed = True
        for seat in self.seats:
            if seat.process is not None:
                seat.process.kill()
        fillers = [seat.filler for seat in self.seats if seat.filler is not None]
        for filler in fillers:
            filler.cancel()
        await asyncio.gather(*fillers, return_exceptions=True)
        processes = [seat.process for seat in self.seats if seat.process is not None]
        await asyncio.gather(*(process.close() for process in processes))

    def pids(self) -> list[int]:
        """The process ids of the runners that are ready."""
        return [seat.process.pid for seat in self.seats if seat.process is not None and seat.usable]

    @property
    def capacity(self) -> int:
        """Guests that all runners together have at most."""
        return len(self.seats) * MAX_GUESTS

    @property
    def extra(self) -> int:
        """Guests that they have or may take beyond the slots, because so many wait."""
        return sum(seat.extra for seat in self.seats)

    def add(self, live: Live, *, first: bool = False) -> None:
        """It is ready to run; ``first``: it had its turn in the line already."""
        if first:
            self._line.add_first(live)
        else:
            self._line.add(live)
        self._assign_soon()

    def leave(self, live: Live, outcome: Outcome | None) -> None:
        """Tells its runner to end it."""
        self._send(live, LeaveNow(live.number, outcome))

    def cancel(self, live: Live) -> None:
        """Tells its runner that its job is being cancelled."""
        self._send(live, Cancel(live.number))

    def durable(self, live: Live) -> None:
        """Tells its runner, soon, how much of its journal is durable."""
        if live.seat is not None:
            seat = self.seats[live.seat]
            if not live.posted:
                seat.rested(live)
                live.looked = self._looks
            if not seat.durable:
                self._loop.call_soon(self._tell_durable, seat)
            seat.durable[live.number] = live.acked

    async def answer(self, live: Live, answer: Reply) -> None:
        """It goes on with ``answer``; returns when its runner has read that, nearly, or is gone."""
        if live.seat is not None:
            seat = self.seats[live.seat]
            self._go_on(seat, live)
            self._send(live, answer)
            if seat.process is not None:
                await seat.process.drained()

    def overdue(self) -> list[Live]:
        """Who has been with a runner for a while, one turn of calls to this at least. Who computed all the
        time takes a whole slot from here on; the others are looked at again.
        """
        self._looks += 1
        before, self._fresh_before, self._fresh = self._fresh_before, self._fresh, []
        still = [live for live in before if live.seat is not None]
        for live in still:
            if live.rests or live.waits or live.looked > self._looks - 2:
                self._fresh.append(live)
            elif live.seat is not None:
                self.seats[live.seat].not_quick(live)
        return still

    def kill_runner_of(self, live: Live) -> None:
        """Its runner cannot make it leave."""
        seat = self.seats[live.seat] if live.seat is not None else None
        if seat is not None and seat.process is not None:
            _log.warning("runner_disobeys", job=format_job_id(live.placed.job), pid=seat.process.pid)
            seat.culprit = live
            seat.process.kill()

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
                seat.process.send(AreYouThere())

    # ------------------------------------------------------------------ handing over

    def _assign_soon(self) -> None:
        if not self._assigning and self._line and not self._closed:
            self._assigning = True
            self._loop.call_soon(self._assign)

    def _assign(self) -> None:
        self._assigning = False
        for index, batch in self._line.hand_out(self.seats).items():
            process = self.seats[index].process
            if process is not None:
                process.send(*(_run(part) for part in _in_parts(batch)))
            for live in batch:
                live.looked = self._looks
            self._fresh += batch

    def _tell_durable(self, seat: Seat) -> None:
        # What one answer of the control plane made durable is one message: each costs a system call.
        posts, seat.durable = seat.durable, {}
        if posts and seat.process is not None:
            seat.process.send(Durable(posts))

    def _send(self, live: Live, message: LeaveNow | Cancel | Reply) -> None:
        process = self.seats[live.seat].process if live.seat is not None else None
        if process is not None:
            process.send(message)

    # ------------------------------------------------------------------ what runners say

    def _on_messages(self, seat: Seat, process: RunnerProcess, messages: list[FromRunner]) -> None:
        if seat.process is not process:
            return
        seat.heard()
        for message in messages:
            if isinstance(message, Results):
                self._results(seat, message)
            elif not isinstance(message, Here | Ready):
                live = seat.tasks.get(message.number)
                if live is None:
                    _log.error("unknown_task", number=message.number)
                else:
                    self._said(seat, live, message)
        self._assign_soon()

    def _said(self, seat: Seat, live: Live, message: Post | Sleeps | Awake | Tell | Question) -> None:
        if isinstance(message, Post):
            seat.rest(live)
            self._owner.on_post(live, message)
        elif isinstance(message, Tell):
            self._owner.on_tell(live, message)
        elif isinstance(message, Awake):
            self._go_on(seat, live)
            self._owner.on_awake(live)
        else:
            seat.wait(live)
            if isinstance(message, Sleeps):
                self._owner.on_sleep(live)
            else:
                self._owner.on_question(live, message)

    def _go_on(self, seat: Seat, live: Live) -> None:
        seat.go_on(live)
        live.looked = self._looks

    def _results(self, seat: Seat, results: Results) -> None:
        for result in results.items:
            live = seat.tasks.get(result.number)
            if live is None:
                _log.error("unknown_task", number=result.number)
                continue
            seat.remove(live)
            if result.run_ns:
                self._times.observe(live.placement.spec.module, result.run_ns)
            self._owner.on_over(live, result)

    # ------------------------------------------------------------------ processes

    async def _start_process(self, seat: Seat) -> None:
        process = RunnerProcess(partial(self._on_messages, seat), partial(self._on_gone, seat))
        seat.process = process
        try:
            await process.start(self._settings)
        except BaseException:
            if seat.process is process:
                seat.process = None
            raise
        if seat.process is process:
            seat.usable = True
            self._assign_soon()

    async def _refill(self, seat: Seat) -> None:
        for tries in range(1 << 30):
            await asyncio.sleep(_RESTART_S[min(tries, len(_RESTART_S) - 1)])
            try:
                await self._start_process(seat)
            except Unavailable as error:
                _log.error("runner_not_replaced", error=str(error))
            else:
                return

    def _on_gone(self, seat: Seat, process: RunnerProcess) -> None:
        if seat.process is not process or self._closed:
            return
        _log.warning("runner_gone", pid=process.pid, how=process.exit_status, tasks=len(seat.tasks))
        known = seat.culprit is not None
        lives, death = seat.vacate(), Death()
        for live in reversed(lives):
            if not known:
                live.suspected(death, alone=len(lives) == 1)
            self._owner.on_runner_died(live, process.exit_status)
        seat.filler = self._loop.create_task(self._refill(seat))
        self._assign_soon()


def _in_parts(batch: list[Live]) -> Iterator[list[Live]]:
    """Each is one frame: of as many as come to ``PART_BYTES`` of journals and inputs, or of one."""
    part: list[Live] = []
    size = 0
    for live in batch:
        part.append(live)
        size += len(live.payload or b"") + sum(len(segment.data) for segment in live.durable)
        if size >= PART_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _run(batch: list[Live]) -> Run:
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
        spec = live.placement.spec
        task = Task(
            live.number,
            index,
            payload,
            spec.memory_bytes,
            live.placed,
            live.placement.attempt,
            tuple(live.durable),
            live.cancelled,
            spec.durability is Durability.NONE,
            live.placement.secrets,
            live.inputs,
        )
        tasks.append(task)
    return Run(tuple(kept), tuple(tasks))

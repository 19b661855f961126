"""An engine that runs nothing: a job takes a given time, and completes. Implements ``ports.engine.Engine``.

To the control plane a worker with it is one like all others: it starts jobs, ends them, and has a journal to
tell. What guests do is not simulated, only that they take time.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Collection, Sequence
from hashlib import sha256
from typing import Final

from mvm_ci.domain.ids import Digest
from mvm_ci.domain.job import Durability, Placed
from mvm_ci.domain.outcome import OVERDUE, Completed, Failed, Outcome, Released, Stopped
from mvm_ci.domain.segment import Segment
from mvm_ci.journal.codec import split
from mvm_ci.journal.entries import FORMAT_VERSION, Began, Entry, Finished
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.engine import Ended, EngineEvents, Placement

RESULT: Final = b'"0000000000000000"'
"""That of a load test's guest that computes nothing."""
_INPUT: Final = Digest(sha256(b"").hexdigest())
_SHORTEST_NS: Final = 1_000_000
"""What a job that takes no time is said to have computed."""


class SimulatedEngine:
    """``service_s``: how long a job has its slot."""

    def __init__(self, *, slots: int, service_s: float, events: EngineEvents, clock: Clock) -> None:
        self.slots = slots
        self.extra = 0
        self.capacity = slots
        self.runners = slots
        self._service_s = service_s
        self._events = events
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._line: deque[Placement] = deque()
        self._running: dict[Placed, tuple[Placement, asyncio.TimerHandle]] = {}
        self._ends: list[Ended] = []
        self._draining = False
        self._turning = False
        self._empty = asyncio.Event()
        self._empty.set()

    async def start(self) -> None:
        """It is there at once."""

    def place(self, placements: Sequence[Placement]) -> None:
        if self._draining:
            for placement in placements:
                self._end(placement, Released())
            return
        self._line.extend(placements)
        self._turn_soon()

    def stop(self, placed: Placed) -> None:
        for placement in self._taken((placed,), running=True):
            self._end(placement, Stopped())

    def cancel(self, placed: Placed) -> None:
        self.stop(placed)

    def drop(self, placements: Sequence[Placed]) -> None:
        self._taken(placements, running=True)
        self._turn_soon()

    def release_waiting(self, only: Collection[Placed] | None = None) -> None:
        self._release(only, running=False)

    def release_all(self, only: Collection[Placed] | None = None) -> None:
        self._release(only, running=True)

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
        self._draining = True
        for _, timer in self._running.values():
            timer.cancel()
        self._running.clear()
        self._line.clear()
        self._ends.clear()

    def _release(self, only: Collection[Placed] | None, *, running: bool) -> None:
        for placement in self._taken(only, running=running):
            self._end(placement, Released())

    def _taken(self, only: Collection[Placed] | None, *, running: bool) -> list[Placement]:
        """Takes these away: from the line, and from the slots as well."""
        waiting = [one for one in self._line if only is None or one.placed in only]
        if waiting:
            gone = {one.placed for one in waiting}
            self._line = deque(one for one in self._line if one.placed not in gone)
        begun = [placed for placed in self._running if running and (only is None or placed in only)]
        for placed in begun:
            placement, timer = self._running.pop(placed)
            timer.cancel()
            waiting.append(placement)
        return waiting

    def _end(
        self, placement: Placement, outcome: Outcome, tail: Segment | None = None, run_ns: int = 0
    ) -> None:
        self._ends.append(Ended(placed=placement.placed, outcome=outcome, tail=tail, run_ns=run_ns))
        self._turn_soon()

    def _over(self, placed: Placed) -> None:
        """Its time is up."""
        placement, _ = self._running.pop(placed)
        if placement.left_ms is not None and placement.left_ms <= self._service_s * 1000:
            outcome: Outcome = Failed(OVERDUE)
            last = Finished(None, OVERDUE)
        else:
            outcome, last = Completed(RESULT), Finished(RESULT, None)
        run_ns = max(_SHORTEST_NS, round(self._service_s * 1e9))
        self._end(placement, outcome, self._tail(placement, last), run_ns)

    def _tail(self, placement: Placement, last: Finished) -> Segment | None:
        """The entries that a guest would have left which did nothing but wait."""
        if placement.spec.durability is Durability.NONE:
            return None
        there = sum(segment.count for segment in placement.journal)
        entries: list[Entry] = [last]
        if not there:
            wall_ns = self._clock.now_ms() * 1_000_000
            seed = secrets.token_bytes(32)
            entries = [Began(FORMAT_VERSION, placement.spec.module, _INPUT, seed, wall_ns), last]
        (segment,) = split(entries, there)
        return segment

    def _turn_soon(self) -> None:
        # Not at once: whoever gives an order does not expect to hear of it, and reports go out together.
        self._empty.clear()
        if not self._turning:
            self._turning = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._turning = False
        started = []
        while self._line and len(self._running) < self.slots:
            placement = self._line.popleft()
            placed = placement.placed
            wait_s = self._service_s if placement.left_ms is None else self._within(placement.left_ms)
            self._running[placed] = (placement, self._loop.call_later(wait_s, self._over, placed))
            started.append(placed)
        ends, self._ends = self._ends, []
        if started:
            self._events.started(started)
        if ends:
            self._events.ended(ends)
        if not (self._running or self._line or self._ends):
            self._empty.set()

    def _within(self, left_ms: int) -> float:
        return min(self._service_s, left_ms / 1000)

"""A worker's lease, told on to its engine: whatever is late, lost or overtaken, no effect is stale."""

import heapq
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.domain.ids import SessionId
from mvm_ci.domain.lease import LeaseTable
from mvm_ci.engine.service.client import Client
from mvm_ci.peer.lease import SessionLease
from mvm_ci.testing.clock import FakeClock
from mvm_ci.wire import engine as w

ONE: Final = SessionId(1)
LEASE: Final = 2_000
BEAT: Final = 600
STEP: Final = 10
ROOM: Final = w.Room("engine", 1, 1, 1)


class Three:
    """A control plane, a worker and an engine. ``delays``: of each message, in turn; None: it is lost."""

    def __init__(self, delays: list[int | None]) -> None:
        self.clock = FakeClock()
        self.table = LeaseTable(LEASE)
        self.table.grant(ONE, self.clock.lease_ms())
        self.lease = SessionLease(self.clock)
        self.client = Client("c" * 32, "", self.clock, lambda: None)
        self.client.follow()
        self.permitted_until = self.clock.lease_ms()
        """Until when the worker would not give away what an engine has that it does not reach."""
        self.asked: list[int] = []
        self.valid = 0
        """Steps in which an effect could leave."""
        self._delays = delays
        self._sent = 0
        self._events: list[tuple[int, int, str, int, int]] = []

    def _later(self, what: str, first: int, second: int = 0) -> None:
        delay = self._delays[self._sent % len(self._delays)]
        self._sent += 1
        if delay is not None:
            due = self.clock.lease_ms() + delay
            heapq.heappush(self._events, (due, self._sent, what, first, second))

    def _arrives(self, what: str, first: int, second: int) -> None:
        now = self.clock.lease_ms()
        match what:
            case "heartbeat" if self.table.renew(ONE, now):
                self._later("beat", first)
            case "beat":
                self.lease.renew(first, LEASE)
            case "question":
                self.asked.append(first)
            case "answer":
                self.client.answered(first, second)

    def _answer(self) -> None:
        if self.lease.valid() and self.asked:
            left = self.lease.left_ms()
            self.permitted_until = max(self.permitted_until, self.clock.lease_ms() + left)
            self._later("answer", self.asked.pop(), left)
            self.asked.clear()

    def run(self, ms: int, *, beats: bool) -> None:
        start = self.clock.lease_ms()
        while (now := self.clock.lease_ms()) < start + ms:
            while self._events and self._events[0][0] <= now:
                self._arrives(*heapq.heappop(self._events)[2:])
            if beats and now % BEAT < STEP:
                self._later("heartbeat", now)
            self._answer()
            for event in self.client.take(ROOM):
                if isinstance(event, w.LeaseWanted):
                    self._later("question", event.number)
            if self.client.valid():
                self.valid += 1
                assert self.lease.valid(), "the engine's lease is longer than the worker's"
                assert self.table.alive(ONE, now), "an effect could leave although the session is lost"
                assert now < self.permitted_until, "the worker would give away what still has effects"
            self.client.ask_soon()
            self.clock.jump(STEP)


phases = st.lists(st.tuples(st.integers(0, 3_000), st.booleans()), min_size=1, max_size=6)
late = st.one_of(st.none(), st.integers(0, 5 * LEASE))


@given(st.lists(late, min_size=1, max_size=20), phases)
def test_an_engine_lets_nothing_leave_that_its_worker_could_not(
    delays: list[int | None], phases: list[tuple[int, bool]]
) -> None:
    three = Three(delays)
    for ms, beats in phases:
        three.run(ms, beats=beats)


@given(st.integers(0, 100))
def test_with_short_delays_effects_do_leave(delay: int) -> None:
    three = Three([delay])
    three.run(3 * LEASE, beats=True)
    before = three.valid
    three.run(LEASE, beats=True)
    assert three.valid - before == LEASE // STEP
    three.run(2 * LEASE, beats=False)
    assert not three.client.valid()

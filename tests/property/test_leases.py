"""A worker and its control plane, with any jobs and delays between them: no stale effect, no false loss."""

import heapq
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mvm_ci.domain.ids import SessionId
from mvm_ci.domain.lease import LeaseTable
from mvm_ci.peer.lease import SessionLease
from mvm_ci.peer.pulse import Pulse
from mvm_ci.testing.clock import FakeClock

ONE: Final = SessionId(1)
LEASE: Final = 150
BEAT: Final = 50
REST: Final = 600
HEARD: Final = 51


class Leases(RuleBasedStateMachine):
    """The table alone: what bounds a deadline."""

    def __init__(self) -> None:
        super().__init__()
        self.table = LeaseTable(LEASE)
        self.now = self.sign = 0
        self.rest = 0
        self.table.grant(ONE, 0)
        self.latest: int | None = None

    @rule(ms=st.integers(0, REST))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @rule(rest=st.sampled_from([0, REST]))
    def a_heartbeat_comes(self, rest: int) -> None:
        alive = self.table.alive(ONE, self.now)
        assert self.table.renew(ONE, self.now) is alive
        self.table.rest(ONE, self.now, rest)
        if alive:
            self.sign, self.rest, self.latest = self.now, rest, None

    @rule()
    def it_is_given_a_job(self) -> None:
        self.table.rouse(ONE, self.now)
        if self.latest is None:
            self.latest = self.now + LEASE

    @precondition(lambda self: not self.table.alive(ONE, self.now))
    @rule()
    def it_begins_anew(self) -> None:
        self.table.grant(ONE, self.now)
        self.sign, self.rest, self.latest = self.now, 0, None

    @invariant()
    def the_deadline_is_a_lease_after_the_last_sign_of_life_at_the_earliest(self) -> None:
        deadline = self.table.next_deadline()
        assert deadline is not None
        assert self.sign + LEASE <= deadline <= self.sign + self.rest + LEASE

    @invariant()
    def whoever_was_given_a_job_is_lost_within_a_lease_of_it(self) -> None:
        deadline = self.table.next_deadline()
        assert deadline is not None
        if self.latest is not None:
            assert deadline <= max(self.latest, self.sign + LEASE)


TestLeases = Leases.TestCase


class Pair:
    """One worker and one control plane, event by event. ``delay``: of every message; None: it is lost."""

    def __init__(self) -> None:
        self.clock = FakeClock(lease_ms=0)
        self.table = LeaseTable(LEASE)
        self.lease = SessionLease(self.clock)
        self.pulse = Pulse(0, LEASE, BEAT)
        self.table.grant(ONE, 0)
        self.lease.renew(0, LEASE)
        self.given = self.ended = 0
        """Jobs as the control plane knows them: given to the worker, and ended."""
        self.holds = 0
        self.beats = 0
        self.heard = True
        self.events: list[tuple[int, int, str, int]] = []
        self._serial = 0

    def later(self, ms: int, what: str, value: int = 0) -> None:
        self._serial += 1
        heapq.heappush(self.events, (self.clock.lease_ms() + ms, self._serial, what, value))

    def beat(self, delay: int | None) -> None:
        self.beats += 1
        self.pulse.sent(self.beats, self.clock.lease_ms())
        if delay is not None:
            self.later(delay, "heartbeat", self.beats)

    def arrives(self, what: str, value: int, delay: int | None) -> None:
        now = self.clock.lease_ms()
        match what:
            case "heartbeat":
                if self.table.renew(ONE, now):
                    rest = 0 if self.given > self.ended else REST
                    self.table.rest(ONE, now, rest)
                    if delay is not None:
                        self.later(delay, f"beat-{rest}", value)
            case "beat-0" | "beat-600":
                rest = int(what.removeprefix("beat-"))
                sent = self.pulse.answered(value, 0 if self.holds else rest)
                self.lease.renew(sent, LEASE)
            case "assign":
                self.holds += 1
                if self.pulse.resting:
                    self.beat(delay)
            case "ended":
                self.ended += 1

    def assign(self, delay: int | None) -> None:
        if self.given == self.ended:
            self.table.rouse(ONE, self.clock.lease_ms())
        self.given += 1
        if delay is not None:
            self.later(delay, "assign")

    def end(self, delay: int | None) -> None:
        if self.holds:
            self.holds -= 1
            if delay is not None:
                self.later(delay, "ended")

    def run(self, until: int, delay: int | None) -> bool:
        """Time passes; whether the session lived all the while. An effect may leave only if it does."""
        lived = True
        while (now := self.clock.lease_ms()) < until:
            while self.events and self.events[0][0] <= now:
                _, _, what, value = heapq.heappop(self.events)
                self.arrives(what, value, delay)
            if self.pulse.resting and delay is not None:
                self.pulse.noted(now // HEARD, now)
            if self.pulse.due(now):
                self.beat(delay)
            alive = self.table.alive(ONE, now)
            assert alive or not self.lease.valid(), "an effect could leave although the session is lost"
            lived &= alive
            self.clock.jump(1)
        return lived


steps = st.lists(
    st.tuples(st.sampled_from(["assign", "end", "nothing"]), st.integers(1, 700)), min_size=1, max_size=12
)
delays = st.integers(0, 8)
"""Milliseconds, constant within a run: messages of one direction keep their order."""


@given(steps, delays)
def test_a_worker_that_lives_is_never_lost_and_has_its_lease_while_it_works(
    steps: list[tuple[str, int]], delay: int
) -> None:
    pair = Pair()
    for what, ms in steps:
        now = pair.clock.lease_ms()
        if what == "assign":
            pair.assign(delay)
            # One way there, one heartbeat and its answer.
            assert pair.run(now + 3 * delay + 3, delay)
            assert pair.lease.valid(), "effects of the job would wait for longer than a round trip"
        elif what == "end":
            pair.end(delay)
        assert pair.run(now + ms, delay)
        assert pair.lease.valid() or not pair.holds


@given(steps, delays, st.sampled_from(["given a job", "left alone"]))
def test_a_worker_that_is_cut_off_stops_first_and_is_lost_within_a_lease_of_its_next_job(
    steps: list[tuple[str, int]], delay: int, then: str
) -> None:
    pair = Pair()
    for what, ms in steps:
        if what == "assign":
            pair.assign(delay)
        elif what == "end":
            pair.end(delay)
        pair.run(pair.clock.lease_ms() + ms, delay)
    cut = pair.clock.lease_ms()
    pair.events.clear()
    if then == "given a job" or pair.given > pair.ended:
        pair.assign(None)
        pair.run(cut + LEASE + 1, None)
    else:
        pair.run(cut + REST + LEASE + 1, None)
    assert not pair.table.alive(ONE, pair.clock.lease_ms())

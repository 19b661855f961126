"""Rates of concurrency keys: what a process leaves of them, and what the next one makes of it."""

import asyncio
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mvm_ci.adapters.memory.queue import MemoryJobQueue
from mvm_ci.domain.ids import Digest, JobId, SessionId
from mvm_ci.domain.job import JobSpec, NewJob, Placed
from mvm_ci.domain.lane import Concurrency, Lane, begun, lane
from mvm_ci.domain.level import Level
from mvm_ci.domain.options import JobOptions
from mvm_ci.domain.scheduling.scheduler import Scheduler
from tests.unit.scheduling.test_scheduler import ANY

HOUR = 3_600_000
SESSION = SessionId(1)
SPEC = JobSpec(module=Digest("a" * 64), input=b"")


def rated(starts: int | None, per_ms: int = HOUR, priority: int = 5) -> Lane:
    return lane(priority=priority, concurrency=Concurrency(key="k", limit=None, starts=starts, per_ms=per_ms))


def starts(made: Scheduler, one: Lane, now: int) -> int:
    """How many of a lane may start now, and do."""
    count = 0
    while count < 100 and made.admit(one, now):
        made.admitted(one, JobId(1))
        count += 1
    return count


def restarted(left: list[Level], now: int) -> Scheduler:
    made = Scheduler()
    made.offers([ANY])
    made.limits.restore(level for one in left if (level := one.by(now)).full_ms > now)
    return made


def test_a_key_that_was_never_started_may_start_at_once() -> None:
    assert starts(restarted([], 7), rated(3), 7) == 3


def test_what_is_left_goes_on_from_where_it_was() -> None:
    made = restarted([], 0)
    assert starts(made, rated(4), 0) == 4
    (left,) = made.levels()
    assert left == Level("default", "k", 0.0, 0, HOUR)
    assert made.levels() == ()
    assert starts(restarted([left], 0), rated(4), 0) == 0
    assert starts(restarted([left], HOUR // 2), rated(4), HOUR // 2) == 2
    assert starts(restarted([left], HOUR), rated(4), HOUR) == 4
    # It refills while nobody is there, and the wait of before goes on, however often there is a restart.
    for minute in range(1, 60):
        again = restarted([left], minute * HOUR // 60)
        assert starts(again, rated(1), minute * HOUR // 60) == 0
        assert again.levels() == ()


def test_a_clock_that_was_set_back_gives_nothing_and_takes_nothing() -> None:
    left = Level("default", "k", 1.0, 10 * HOUR, 11 * HOUR)
    back = restarted([left], HOUR)
    assert starts(back, rated(2), HOUR) == 1
    assert starts(back, rated(2), HOUR + HOUR // 2 - 1) == 0
    assert starts(back, rated(2), HOUR + HOUR // 2) == 1
    (level,) = back.levels()
    assert 0 <= level.tokens < 1


def test_a_job_that_finds_no_seat_takes_nothing() -> None:
    made = restarted([], 0)
    assert made.admit(rated(1), 0)
    made.admitted(rated(1), None)
    assert made.levels() == ()
    assert starts(made, rated(1), 0) == 1


def test_a_turn_says_what_is_left_if_it_finds_all_it_asks_for() -> None:
    made = restarted([], 0)
    made.ready(rated(9), rated(9).id)
    turn = made.turn(ANY, 4, 5)
    assert turn is not None
    assert turn.level == Level("default", "k", 5.0, 5, 5 + HOUR)
    made.settle(turn, [Placed(JobId(1), 1)])
    assert made.levels() == ()
    assert starts(made, rated(9, priority=6), 5) == 8


@pytest.mark.parametrize("one", [lane(), lane(concurrency=Concurrency(key="k", limit=9))])
def test_lanes_without_a_rate_have_no_level(one: Lane) -> None:
    made = restarted([], 0)
    assert starts(made, one, 0) > 0
    made.ready(one, begun(one.id))
    turn = made.turn(ANY, 1, 0)
    assert turn is not None
    assert (turn.level, made.levels()) == (None, ())


def test_what_goes_on_in_its_attempt_takes_nothing() -> None:
    made = restarted([], 0)
    assert starts(made, rated(1), 0) == 1
    made.levels()
    made.ready(rated(1), begun(rated(1).id))
    turn = made.turn(ANY, 1, 0)
    assert turn is not None
    assert turn.level is None


def test_starts_of_a_key_s_lanes_without_a_rate_count_in_that_of_the_others() -> None:
    made = restarted([Level("default", "k", 3.0, 0, HOUR)], 0)
    other = rated(None)
    assert made.admit(other, 0)
    made.admitted(other, JobId(1))
    assert [level.tokens for level in made.levels()] == [2.0]


# -------------------------------------------------------------------- any history


class Step(NamedTuple):
    """``kind``: "submit" or "claim" ``size`` jobs, "wait", "back" (the clock is set) or "restart".
    ``dies``: the process ends before ("lost") or after ("stored") the store has it; ``fails``: the store
    does not take it.
    """

    kind: str
    size: int
    asked: int
    fate: str


kinds = st.sampled_from(["submit", "claim", "claim", "wait", "wait", "back", "restart"])
fates = st.sampled_from(["well", "well", "well", "fails", "lost", "stored"])
steps = st.lists(st.builds(Step, kinds, st.integers(0, 4), st.integers(1, 5), fates), max_size=60)


class World:
    """A scheduler on a store that outlives it. ``real`` time goes on; ``skew`` is how wrong the clock is."""

    def __init__(self, one: Lane) -> None:
        self.lane = one
        self.queue = MemoryJobQueue()
        self.real, self.skew, self.jobs = 0, 1_000, 0
        self.begun: list[int] = []
        """The real time of each start."""

    async def restart(self) -> None:
        self.made = Scheduler()
        self.made.offers([ANY])
        now = self.real + self.skew
        self.made.limits.restore(await self.queue.levels(now))

    def new(self, session: SessionId | None) -> NewJob:
        self.jobs += 1
        options = JobOptions(lane=self.lane)
        return NewJob(id=JobId(self.jobs), spec=SPEC, created_ms=0, options=options, session=session)

    async def submit(self, step: Step) -> None:
        jobs = []
        for _ in range(step.size):
            if self.made.admit(self.lane, self.real + self.skew):
                job = self.new(SESSION)
                self.made.admitted(self.lane, job.id)
                jobs.append(job)
        levels = self.made.levels()
        if step.fate in {"well", "stored"}:
            await self.queue.submit(jobs, levels)
            self.begun += [self.real] * len(jobs)
        else:
            self.made.ended([job.id for job in jobs])

    async def claim(self, step: Step) -> None:
        await self.queue.submit([self.new(None) for _ in range(step.size)])
        self.made.ready(self.lane, self.lane.id)
        turn = self.made.turn(ANY, step.asked, self.real + self.skew)
        if turn is None:
            return
        if step.fate in {"fails", "lost"}:
            self.made.settle(turn, [])
            return
        found = await self.queue.claim(SESSION, turn.lane_id, turn.limit, turn.level)
        self.begun += [self.real] * len(found)
        if step.fate == "well":
            self.made.settle(turn, [Placed(job.id, job.epoch) for job in found])
            if len(found) < turn.limit:
                self.made.emptied(turn.lane_id)

    async def go(self, step: Step) -> None:
        if step.kind == "wait":
            self.real += step.size * step.asked * 3
        elif step.kind == "back":
            self.skew -= step.size * step.asked * 10
        elif step.kind == "submit":
            await self.submit(step)
        elif step.kind == "claim":
            await self.claim(step)
        if step.kind == "restart" or step.fate in {"lost", "stored"}:
            await self.restart()


async def history(starts: int, per_ms: int, steps: list[Step]) -> list[int]:
    world = World(rated(starts, per_ms))
    await world.restart()
    for step in steps:
        await world.go(step)
    return world.begun


@given(st.integers(1, 6), st.integers(1, 200), steps)
@example(1, 100, [Step("submit", 1, 1, "stored"), Step("submit", 1, 1, "well")])
@example(1, 100, [Step("claim", 2, 1, "stored"), Step("claim", 1, 1, "well")])
@example(2, 100, [Step("submit", 2, 1, "well"), Step("back", 4, 5, "stored"), Step("submit", 2, 1, "well")])
def test_no_history_of_restarts_lets_more_begin_than_a_full_bucket_and_what_flows_into_it(
    starts: int, per_ms: int, steps: list[Step]
) -> None:
    begun = asyncio.run(history(starts, per_ms, steps))
    for first, since in enumerate(begun):
        for count, until in enumerate(begun[first:], 1):
            assert count <= starts + (until - since) * starts / per_ms + 1e-6


@given(st.integers(1, 6), st.integers(1, 200), st.lists(st.integers(1, 60), max_size=30))
@example(2, 144, [1, 7, 18, 35, 1, 10])
def test_restarts_take_nothing_from_what_may_begin(starts: int, per_ms: int, waits: list[int]) -> None:
    plain = [Step("submit", 4, 1, "well")]
    restarts = [*plain, Step("restart", 0, 1, "well")]

    def with_waits(between: list[Step]) -> list[Step]:
        return [step for wait in waits for step in (*between, Step("wait", wait, 1, "well"))]

    one, other = (asyncio.run(history(starts, per_ms, with_waits(between))) for between in (plain, restarts))
    assert one == other

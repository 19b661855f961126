"""Firing, with a submission that does what the queue promises for idempotency keys, and crashes anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from mvm_ci.adapters.memory.queue import MemoryJobQueue
from mvm_ci.adapters.memory.schedules import MemoryScheduleStore
from mvm_ci.domain.errors import MvmCiError, NotFound, QuotaExceeded, Unavailable
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.job import JobSpec, JobState, NewJob
from mvm_ci.domain.schedule import LOOK_AGAIN_MS, RETRY_MS, CatchUp, Overlap, Schedule, begun, paused
from mvm_ci.lifecycle.fire import BATCH, Firing
from mvm_ci.lifecycle.schedules import Fire
from mvm_ci.lifecycle.waiters import Waiters
from mvm_ci.lifecycle.wake import LONGEST_NAP_MS, PAUSE_MS
from mvm_ci.testing.clock import FakeClock, settle

NOON = 1_699_963_200_000
MINUTE = 60_000
HOUR = 60 * MINUTE
SPEC = JobSpec(module=Digest("a" * 64), input=b"null")


class Crash(BaseException):
    """The process is gone."""


class Store(MemoryScheduleStore):
    """``crash_at``: the write at which the process dies; ``written``: whether it took effect."""

    def __init__(self) -> None:
        super().__init__()
        self.crash_at: int | None = None
        self.written = False
        self.broken = False
        self.paused = asyncio.Event()
        self.writes = 0
        self.reads = 0

    async def replace(self, schedule: Schedule) -> bool:
        self.writes += 1
        if self.crash_at == self.writes:
            if self.written:
                await super().replace(schedule)
            raise Crash
        replaced = await super().replace(schedule)
        if schedule.paused:
            self.paused.set()
        return replaced

    async def due(self, now_ms: int, limit: int) -> list[Schedule]:
        self.reads += 1
        if self.broken:
            raise Unavailable("the store is broken")
        return await super().due(now_ms, limit)


class World:
    """What survives a crash: stores and clock."""

    def __init__(self) -> None:
        self.clock = FakeClock(NOON)
        self.store = Store()
        self.queue = MemoryJobQueue()
        self.waiters = Waiters()
        self.by_key: dict[str, JobId] = {}
        self.submissions = 0
        self.refusal: MvmCiError | None = None
        self.crash_after_submit = False

    async def submit(self, schedule: Schedule, fires: Sequence[Fire]) -> list[JobId]:
        self.submissions += 1
        if self.refusal is not None:
            raise self.refusal
        for at_ms, key in fires:
            assert key == f"schedule:{schedule.name}:{at_ms}"
            if key not in self.by_key:
                job = JobId(len(self.by_key) + 1)
                self.by_key[key] = job
                await self.queue.submit([NewJob(id=job, spec=SPEC, created_ms=self.clock.now_ms())])
        if self.crash_after_submit:
            self.crash_after_submit = False
            raise Crash
        return [self.by_key[key] for _, key in fires if key is not None]

    async def end(self, job: JobId) -> None:
        await self.queue.cancel([job], self.clock.now_ms())
        self.waiters.ended((job,))

    async def cancel(self, jobs: Sequence[JobId]) -> None:
        for job in jobs:
            await self.end(job)

    def times(self) -> list[int]:
        """The times that became jobs, in minutes after noon."""
        return [(int(key.rpartition(":")[2]) - NOON) // MINUTE for key in self.by_key]

    def firing(self) -> Firing:
        return Firing(self.store, self.queue, self.clock, self.waiters, self.submit, self.cancel)

    async def schedule(self, **fields: object) -> None:
        plain = Schedule(namespace="default", name="n", when="@hourly", job="{}", created_ms=NOON)
        one = begun(replace(plain, **fields), NOON)
        assert await self.store.add(one)

    async def shown(self, name: str = "n") -> Schedule:
        found = await self.store.get("default", name)
        assert found is not None
        return found


@pytest.fixture
def world() -> World:
    return World()


@asynccontextmanager
async def running(world: World) -> AsyncIterator[Firing]:
    firing = world.firing()
    task = asyncio.create_task(firing.run())
    await settle()
    try:
        yield firing
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_it_crashes(world: World, ms: float) -> None:
    task = asyncio.create_task(world.firing().run())
    await world.clock.advance(ms)
    with pytest.raises(Crash):
        await asyncio.wait_for(task, 5)


# ---------------------------------------------------------------- time


async def test_a_schedule_fires_when_its_time_has_come(world: World) -> None:
    await world.schedule()
    async with running(world):
        await world.clock.advance(HOUR - 1)
        assert world.times() == []
        await world.clock.advance(1)
        assert world.times() == [60]
        await world.end(JobId(1))
        await world.clock.advance(HOUR)
        assert world.times() == [60, 120]
    shown = await world.shown()
    assert (shown.fires, shown.last_fire_ms, shown.last_job) == (2, NOON + 2 * HOUR, 2)


async def test_nothing_is_asked_while_nothing_is_due(world: World) -> None:
    async with running(world):
        await world.clock.advance(10 * HOUR)
    assert world.store.reads == 1


async def test_a_new_schedule_is_seen_at_once(world: World) -> None:
    async with running(world) as firing:
        await world.schedule(when="every 1s")
        firing.look()
        await world.clock.advance(1_000)
        assert len(world.by_key) == 1


async def test_a_clock_that_jumped_is_noticed_by_the_next_nap(world: World) -> None:
    await world.schedule()
    async with running(world):
        world.clock.jump(HOUR)
        assert world.times() == []
        await world.clock.advance(LONGEST_NAP_MS)
        assert world.times() == [60]


async def test_many_schedules_of_one_minute_all_fire(world: World) -> None:
    for number in range(2 * BATCH + 1):
        await world.schedule(name=f"n{number}")
    async with running(world):
        await world.clock.advance(HOUR)
    assert len(world.by_key) == 2 * BATCH + 1


# ---------------------------------------------------------------- crashes


@pytest.mark.parametrize("overlap", Overlap)
@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("write", [1, 2])
async def test_a_crash_at_any_write_fires_once(
    world: World, overlap: Overlap, write: int, *, written: bool
) -> None:
    await world.schedule(overlap=overlap, catch_up=CatchUp.SKIP)
    world.store.crash_at, world.store.written = write, written
    await until_it_crashes(world, HOUR)
    # Late by then, but what was about to fire is no missed fire.
    world.clock.jump(HOUR // 2)
    async with running(world):
        planned = write == 2 or written
        assert world.times() == ([60] if planned else [])
    shown = await world.shown()
    assert (shown.fires, shown.waiting, shown.next_ms) == (int(planned), (), NOON + 2 * HOUR)


@pytest.mark.parametrize("overlap", Overlap)
async def test_a_crash_after_the_submission_fires_once(world: World, overlap: Overlap) -> None:
    await world.schedule(overlap=overlap)
    world.crash_after_submit = True
    await until_it_crashes(world, HOUR)
    async with running(world):
        assert world.times() == [60]
        assert world.submissions == 2
    shown = await world.shown()
    assert (shown.fires, shown.last_job, shown.waiting) == (1, 1, ())
    (job,) = await world.queue.get([JobId(1)])
    assert job is not None
    assert job.state is JobState.PENDING


async def test_a_change_by_others_meanwhile_is_kept(world: World) -> None:
    await world.schedule()
    submit = world.submit

    async def crossed(schedule: Schedule, fires: Sequence[Fire]) -> list[JobId]:
        if world.submissions == 0:
            stored = await world.shown()
            assert await world.store.replace(replace(stored, jitter_ms=7))
        return await submit(schedule, fires)

    world.submit = crossed  # type: ignore[method-assign] # a change that crosses the submission
    async with running(world):
        await world.clock.advance(HOUR)
        assert world.times() == [60]
    shown = await world.shown()
    assert (shown.jitter_ms, shown.fires, shown.waiting, world.submissions) == (7, 1, (), 1)


@pytest.mark.parametrize("end", ["paused", "removed", "made anew"])
async def test_a_schedule_that_is_stopped_meanwhile_knows_its_last_job(world: World, end: str) -> None:
    await world.schedule()
    submit = world.submit

    async def crossed(schedule: Schedule, fires: Sequence[Fire]) -> list[JobId]:
        made = await submit(schedule, fires)
        if end == "paused":
            assert await world.store.replace(paused(await world.shown()))
        else:
            assert await world.store.remove("default", "n")
        if end == "made anew":
            await world.schedule(created_ms=NOON + HOUR, next_ms=None, paused=True)
        return made

    world.submit = crossed  # type: ignore[method-assign] # as above
    async with running(world):
        await world.clock.advance(HOUR)
        assert world.times() == [60]
    found = await world.store.get("default", "n")
    known = None if found is None else (found.paused, found.fires, found.last_job)
    assert known == {"paused": (True, 1, 1), "removed": None, "made anew": (True, 0, None)}[end]


# ---------------------------------------------------------------- a day without a control plane


@pytest.mark.parametrize(
    ("policy", "times"),
    [
        (CatchUp.SKIP, []),
        (CatchUp.LAST, [24 * 60]),
        (CatchUp.ALL, [n * 60 for n in range(1, 25)]),
    ],
)
async def test_what_a_day_of_silence_leaves(world: World, policy: CatchUp, times: list[int]) -> None:
    await world.schedule(catch_up=policy, overlap=Overlap.ALLOW)
    world.clock.jump(24 * HOUR + HOUR // 2)
    async with running(world):
        assert world.times() == times
        await world.clock.advance(HOUR // 2)
        assert world.times() == [*times, 25 * 60]


# ---------------------------------------------------------------- overlap


async def test_skip_drops_fires_while_the_last_job_has_not_ended(world: World) -> None:
    await world.schedule(overlap=Overlap.SKIP)
    async with running(world):
        await world.clock.advance(3 * HOUR)
        assert world.times() == [60]
        await world.end(JobId(1))
        await world.clock.advance(HOUR)
        assert world.times() == [60, 240]
    assert (await world.shown()).skipped == 2


async def test_allow_fires_whatever_runs(world: World) -> None:
    await world.schedule(overlap=Overlap.ALLOW)
    async with running(world):
        await world.clock.advance(3 * HOUR)
    assert world.times() == [60, 120, 180]


async def test_cancel_older_leaves_only_the_newest(world: World) -> None:
    await world.schedule(overlap=Overlap.CANCEL_OLDER)
    async with running(world):
        await world.clock.advance(3 * HOUR)
    jobs = await world.queue.get([JobId(1), JobId(2), JobId(3)])
    assert [job.state for job in jobs if job] == [JobState.CANCELLED, JobState.CANCELLED, JobState.PENDING]


async def test_queue_one_fires_when_the_last_job_has_ended(world: World) -> None:
    await world.schedule(overlap=Overlap.QUEUE_ONE)
    async with running(world):
        await world.clock.advance(4 * HOUR)
        assert world.times() == [60]
        await world.end(JobId(1))
        await settle()
        assert world.times() == [60, 120]
    assert (await world.shown()).skipped == 2
    assert len(world.waiters) == 0


async def test_an_end_that_nobody_told_of_is_found_later(world: World) -> None:
    await world.schedule(overlap=Overlap.QUEUE_ONE)
    async with running(world):
        await world.clock.advance(2 * HOUR)
    # The job ends while no control plane runs.
    await world.queue.cancel([JobId(1)], world.clock.now_ms())
    async with running(world):
        assert world.times() == [60]
        await world.clock.advance(LOOK_AGAIN_MS)
        assert world.times() == [60, 120]


async def test_a_job_that_is_gone_holds_nothing_up(world: World) -> None:
    await world.schedule(overlap=Overlap.QUEUE_ONE, last_job=JobId(99))
    async with running(world):
        await world.clock.advance(HOUR)
    assert world.times() == [60]


# ---------------------------------------------------------------- what cannot be submitted


async def test_a_job_that_cannot_be_made_is_told_and_not_tried_again(world: World) -> None:
    await world.schedule()
    world.refusal = NotFound("the module is gone")
    async with running(world):
        await world.clock.advance(2 * HOUR - 1)
        assert world.submissions == 1
        shown = await world.shown()
        assert (shown.last_error, shown.waiting, shown.fires) == ("the module is gone", (), 0)
        world.refusal = None
        await world.clock.advance(1)
        assert world.times() == [120]
    assert (await world.shown()).last_error == ""


async def test_a_job_for_which_there_is_no_room_is_tried_again(world: World) -> None:
    await world.schedule()
    world.refusal = QuotaExceeded("the namespace is full")
    async with running(world):
        await world.clock.advance(HOUR)
        assert world.submissions == 1
        await world.clock.advance(RETRY_MS - 1)
        assert (await world.shown()).last_error == "the namespace is full"
        assert world.submissions == 1
        await world.clock.advance(1)
        assert world.submissions == 2
        world.refusal = None
        await world.clock.advance(RETRY_MS)
        assert world.times() == [60]


async def test_a_schedule_whose_zone_is_unknown_is_paused_and_says_why(world: World) -> None:
    await world.schedule()
    async with running(world) as firing:
        # Written by an installation with newer time zones.
        lost = replace(await world.shown(), time_zone="Mars/Base", next_ms=None, waiting=(NOON,))
        assert await world.store.replace(lost)
        firing.look()
        await asyncio.wait_for(world.store.paused.wait(), 10)
    shown = await world.shown()
    assert "Mars/Base" in shown.last_error
    assert world.times() == []


async def test_a_store_that_fails_is_asked_again_after_a_pause(world: World) -> None:
    await world.schedule()
    async with running(world):
        world.store.broken = True
        await world.clock.advance(HOUR)
        asked = world.store.reads
        await world.clock.advance(PAUSE_MS * 3)
        assert world.store.reads == asked + 3
        world.store.broken = False
        await world.clock.advance(PAUSE_MS)
        assert world.times() == [60]

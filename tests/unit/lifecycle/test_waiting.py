"""Waiters and the waker."""

import asyncio
from collections.abc import Mapping

import pytest

from mvm_ci.adapters.memory.queue import MemoryJobQueue
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import Digest, JobId, SessionId
from mvm_ci.domain.job import JobSpec, NewJob, Placed
from mvm_ci.domain.lane import Lane, begun, lane
from mvm_ci.domain.outcome import Suspended
from mvm_ci.lifecycle.waiters import Waiters
from mvm_ci.lifecycle.wake import LONGEST_NAP_MS, PAUSE_MS, Waker
from mvm_ci.ports.job_queue import Report, Woken
from mvm_ci.testing.clock import FakeClock

A, B = JobId(1), JobId(2)


async def test_a_wait_ends_when_all_have_ended() -> None:
    waiters = Waiters()
    with waiters.expect([A, B]) as both, waiters.expect([A]) as one:
        assert waiters.awaited([A, B, JobId(3)]) == [A, B]
        waiters.ended([A])
        assert await one.wait(60)
        waiting = asyncio.ensure_future(both.wait(60))
        await asyncio.sleep(0)
        assert not waiting.done()
        waiters.ended([B])
        assert await waiting
    assert len(waiters) == 0


async def test_a_wait_that_is_given_up_leaves_nothing() -> None:
    waiters = Waiters()
    with waiters.expect([A]) as one, waiters.expect([A]):
        assert not await one.wait(0)
    waiting = asyncio.ensure_future(_wait(waiters))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(waiters) == 0


async def _wait(waiters: Waiters) -> None:
    with waiters.expect([A]) as expected, waiters.watch(A):
        await expected.wait(60)


async def test_readers_are_told_of_changes_and_of_the_stop() -> None:
    waiters = Waiters()
    with waiters.watch(A) as watch, waiters.expect([B]) as expected:
        waiters.changed([B])
        assert not watch.changed.is_set()
        waiters.changed([A])
        assert watch.changed.is_set()
        watch.changed.clear()
        waiters.close()
        assert watch.changed.is_set()
        assert not await expected.wait(60)
        with waiters.expect([A]) as late, waiters.watch(A) as last:
            assert not await late.wait(60)
            assert last.changed.is_set()
    assert len(waiters) == 0


async def suspended(queue: MemoryJobQueue, job: JobId, wake_ms: int, now_ms: int) -> None:
    spec = JobSpec(module=Digest("a" * 64), input=b"")
    await queue.submit([NewJob(id=job, spec=spec, created_ms=0, session=SessionId(1))])
    await queue.report([Report(placed=Placed(job, 1), outcome=Suspended(wake_ms))], now_ms)


class Told:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self, lanes: Mapping[int, Lane]) -> None:
        assert lanes == {begun(lane().id): lane()}
        self.times += 1


async def test_jobs_wake_in_time_also_those_armed_later_for_sooner() -> None:
    queue, clock, woken = MemoryJobQueue(), FakeClock(), Told()
    now = clock.now_ms()
    await suspended(queue, A, now + 10 * LONGEST_NAP_MS, now)
    waker = Waker(queue, clock, woken)
    running = asyncio.create_task(waker.run())
    await clock.advance(1_000)
    await suspended(queue, B, now + 5_000, now)
    waker.arm(now + 5_000)
    waker.arm(now + 90_000)
    await clock.advance(3_999)
    assert woken.times == 0
    await clock.advance(1)
    assert woken.times == 1
    await clock.advance(10 * LONGEST_NAP_MS)
    assert woken.times == 2
    running.cancel()


async def test_a_store_that_fails_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    queue, clock, woken = MemoryJobQueue(), FakeClock(), Told()
    await suspended(queue, A, clock.now_ms() + 10, clock.now_ms())
    wake = queue.wake

    def fail(now_ms: int, limit: int) -> asyncio.Future[Woken]:
        raise Unavailable("the disk is full")

    monkeypatch.setattr(queue, "wake", fail)
    running = asyncio.create_task(Waker(queue, clock, woken).run())
    await clock.advance(PAUSE_MS / 2)
    assert woken.times == 0
    monkeypatch.setattr(queue, "wake", wake)
    await clock.advance(PAUSE_MS / 2)
    assert woken.times == 1
    running.cancel()

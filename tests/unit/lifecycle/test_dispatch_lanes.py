"""The dispatcher learns of lanes by what changed; it reads all of them only when nobody can say which did."""

import asyncio
from typing import Any

import pytest

from mvm_ci.adapters.memory.queue import MemoryJobQueue
from mvm_ci.domain.ids import Digest, JobId, SessionId
from mvm_ci.domain.job import JobSpec, NewJob, Placed
from mvm_ci.domain.lane import lane
from mvm_ci.domain.options import Dependency, JobOptions
from mvm_ci.domain.outcome import Completed
from mvm_ci.lifecycle.dependencies import Dependencies
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.waiters import Waiters
from mvm_ci.lifecycle.wake import Waker
from mvm_ci.ports.job_queue import Report
from mvm_ci.testing.clock import FakeClock, settle
from mvm_ci.wire.messages import Assign
from tests.unit.lifecycle.recording_link import RecordingLink

SPEC = JobSpec(module=Digest("a" * 64), input=b"")
SESSION, OTHER = SessionId(1), SessionId(2)


def new(job: int, queue: str, **options: Any) -> NewJob:
    made = JobOptions(lane=lane(queue=queue), **options)
    return NewJob(id=JobId(job), spec=SPEC, created_ms=0, options=made)


async def test_neither_a_wake_up_nor_a_dependency_makes_it_read_all_lanes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue, clock, waiters, link = MemoryJobQueue(), FakeClock(), Waiters(), RecordingLink()
    dispatcher = Dispatcher(queue, clock)
    waker = Waker(queue, clock, dispatcher.renewed)
    dependencies = Dependencies(queue, clock, dispatcher, waker, waiters)
    read, reads = queue.ready_lanes, []

    def counted() -> Any:
        reads.append(1)
        return read()

    monkeypatch.setattr(queue, "ready_lanes", counted)
    duties = [asyncio.create_task(run()) for run in (dispatcher.run, waker.run)]
    dispatcher.attach(SESSION, link)
    await dispatcher.restore()
    dispatcher.credit(SESSION, 1_000)
    await settle()
    assert len(reads) == 1
    now = clock.now_ms()
    jobs = range(1, 101)
    sleeping = [new(job, f"sleeps-{job}", run_at_ms=now + job) for job in jobs]
    # Another worker has these.
    upstreams = [NewJob(id=JobId(job + 1_000), spec=SPEC, created_ms=0, session=OTHER) for job in jobs]
    waiting = [new(job + 2_000, f"then-{job}", after=(Dependency(JobId(job + 1_000)),)) for job in jobs]
    await queue.submit([*sleeping, *upstreams, *waiting])
    dependencies.added(waiting)
    waker.arm(now + 1)
    for job in jobs:
        await clock.advance(1)
        over = Report(placed=Placed(JobId(job + 1_000), 1), outcome=Completed(b""))
        assert await queue.report([over], now) == [True]
        dependencies.ended([over.placed.job])
        await settle()
    sent = [item.placed.job for frame in link.sent if isinstance(frame, Assign) for item in frame.items]
    assert sorted(sent) == [*jobs, *(job + 2_000 for job in jobs)]
    assert len(reads) == 1
    for duty in duties:
        duty.cancel()

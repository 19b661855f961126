"""What is remembered of dependencies, and what a resumption asks of the queue."""

import asyncio
from collections.abc import Sequence

import pytest

from mvm_ci.adapters.memory.queue import MemoryJobQueue
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.job import JobSpec, JobState, NewJob
from mvm_ci.domain.lane import lane
from mvm_ci.domain.options import Dependency, JobOptions
from mvm_ci.lifecycle.dependencies import Dependencies
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.waiters import Waiters
from mvm_ci.lifecycle.wake import Waker
from mvm_ci.ports.job_queue import Settled
from mvm_ci.testing.clock import FakeClock, settle

SPEC = JobSpec(module=Digest("a" * 64), input=b"")
UPSTREAM, JOB, PLAIN = JobId(1), JobId(2), JobId(3)
WAITS = NewJob(
    id=JOB, spec=SPEC, created_ms=0, options=JobOptions(lane=lane(), after=(Dependency(UPSTREAM),))
)


async def parts() -> tuple[MemoryJobQueue, Dependencies]:
    queue, clock, waiters = MemoryJobQueue(), FakeClock(), Waiters()
    dispatcher = Dispatcher(queue, clock)
    waker = Waker(queue, clock, dispatcher.renewed)
    dependencies = Dependencies(queue, clock, dispatcher, waker, waiters)
    waiters.listen(dependencies)
    await queue.submit([NewJob(id=UPSTREAM, spec=SPEC, created_ms=0)])
    await queue.submit([WAITS, NewJob(id=PLAIN, spec=SPEC, created_ms=0)])
    dependencies.added([WAITS])
    await settle()
    return queue, dependencies


async def test_a_job_that_has_ended_is_not_remembered_once_its_end_is_settled() -> None:
    queue, dependencies = await parts()
    assert dependencies.concerns(UPSTREAM)
    await queue.cancel([UPSTREAM], 1)
    dependencies.ended([UPSTREAM])
    await settle()
    (job,) = await queue.get([JOB])
    assert job is not None
    assert job.state is JobState.CANCELLED
    assert not dependencies.concerns(UPSTREAM)


async def test_an_end_right_after_the_settling_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    queue, dependencies = await parts()
    settled = queue.settle

    async def end_right_after(jobs: Sequence[JobId], now_ms: int) -> Settled:
        result = await settled(jobs, now_ms)
        await queue.cancel([UPSTREAM], 1)
        return result

    monkeypatch.setattr(queue, "settle", end_right_after)
    dependencies.added([WAITS])
    await settle()
    monkeypatch.setattr(queue, "settle", settled)
    dependencies.ended([UPSTREAM])
    await settle()
    (job,) = await queue.get([JOB])
    assert job is not None
    assert job.state is JobState.CANCELLED


async def test_of_jobs_that_go_on_only_those_that_wait_are_looked_into(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue, dependencies = await parts()
    asked: list[JobId] = []
    read = queue.dependencies

    def note(job: JobId) -> asyncio.Future[list[Dependency]]:
        asked.append(job)
        return read(job)

    monkeypatch.setattr(queue, "dependencies", note)
    await queue.pause([JOB, PLAIN])
    await queue.cancel([UPSTREAM], 1)
    await queue.resume([JOB, PLAIN], 2)
    await dependencies.look_again([JOB, PLAIN])
    await settle()
    assert asked == [JOB]
    (job,) = await queue.get([JOB])
    assert job is not None
    assert job.state is JobState.CANCELLED

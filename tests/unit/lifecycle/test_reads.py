import asyncio
from collections.abc import Sequence

import pytest

from mvm_ci.adapters.memory.queue import MemoryJobQueue
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.job import Job, JobSpec, NewJob
from mvm_ci.lifecycle.reads import JobReads


async def test_what_is_asked_in_one_turn_is_one_read(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = MemoryJobQueue()
    spec = JobSpec(module=Digest("a" * 64), input=b"")
    await queue.submit([NewJob(id=JobId(number), spec=spec, created_ms=0) for number in (1, 2)])
    asked: list[Sequence[JobId]] = []
    get = queue.get

    def counted(jobs: Sequence[JobId]) -> asyncio.Future[list[Job | None]]:
        asked.append(jobs)
        return get(jobs)

    monkeypatch.setattr(queue, "get", counted)
    reads = JobReads(queue)
    one, given_up, other = reads.get([JobId(1)]), reads.get([JobId(2)]), reads.get([JobId(9), JobId(2)])
    given_up.cancel()
    assert [job.id for job in await one if job] == [1]
    assert [job.id if job else None for job in await other] == [None, 2]
    assert asked == [[1, 2, 9, 2]]


async def test_a_failure_reaches_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = MemoryJobQueue()

    def fail(_jobs: Sequence[JobId]) -> asyncio.Future[list[Job | None]]:
        raise Unavailable("closed")

    monkeypatch.setattr(queue, "get", fail)
    reads = JobReads(queue)
    for answer in (reads.get([JobId(1)]), reads.get([JobId(2)])):
        with pytest.raises(Unavailable):
            await answer

import asyncio

import pytest

from mvm_ci.adapters.memory.queue import MemoryJobQueue
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import Digest, JobId, SessionId
from mvm_ci.domain.job import ClaimedJob, JobSpec, JobState, NewJob
from mvm_ci.domain.lane import lane
from mvm_ci.lifecycle.dispatch import PAUSE_MS, Dispatcher
from mvm_ci.testing.clock import FakeClock, settle
from mvm_ci.wire.messages import Assign
from tests.unit.lifecycle.recording_link import RecordingLink

ONE, TWO = SessionId(1), SessionId(2)


async def backlog(queue: MemoryJobQueue, count: int) -> None:
    spec = JobSpec(module=Digest("a" * 64), input=b"")
    await queue.submit([NewJob(id=JobId(number + 1), spec=spec, created_ms=0) for number in range(count)])


def jobs(link: RecordingLink) -> list[JobId]:
    return [item.placed.job for sent in link.sent if isinstance(sent, Assign) for item in sent.items]


async def test_credit_fetches_the_backlog_oldest_first_and_nothing_is_asked_in_vain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue = MemoryJobQueue()
    await backlog(queue, 5)
    dispatcher = Dispatcher(queue, FakeClock())
    link = RecordingLink()
    running = asyncio.create_task(dispatcher.run())
    dispatcher.attach(ONE, link)
    dispatcher.credit(ONE, 3)
    await settle()
    assert jobs(link) == [1, 2, 3]
    assert dispatcher.scheduler
    dispatcher.credit(ONE, 4)
    await settle()
    assert jobs(link) == [1, 2, 3, 4, 5]
    assert not dispatcher.scheduler
    monkeypatch.delattr(MemoryJobQueue, "claim")
    dispatcher.credit(ONE, 5)
    await settle()
    assert not running.done()
    running.cancel()


async def test_a_store_that_fails_costs_no_credit(monkeypatch: pytest.MonkeyPatch) -> None:
    queue, clock = MemoryJobQueue(), FakeClock()
    await backlog(queue, 2)
    claim = queue.claim

    def fail(session: SessionId, lane: int, limit: int) -> asyncio.Future[list[ClaimedJob]]:
        failed: asyncio.Future[list[ClaimedJob]] = asyncio.get_running_loop().create_future()
        failed.set_exception(Unavailable("the disk is full"))
        return failed

    monkeypatch.setattr(queue, "claim", fail)
    dispatcher = Dispatcher(queue, clock)
    link = RecordingLink()
    running = asyncio.create_task(dispatcher.run())
    dispatcher.attach(ONE, link)
    dispatcher.credit(ONE, 1)
    await settle()
    assert jobs(link) == []
    monkeypatch.setattr(queue, "claim", claim)
    await clock.advance(PAUSE_MS)
    assert jobs(link) == [1]
    running.cancel()


async def test_what_was_claimed_for_a_connection_that_is_gone_is_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue = MemoryJobQueue()
    await backlog(queue, 1)
    claim = queue.claim
    answer: asyncio.Future[list[ClaimedJob]] = asyncio.get_running_loop().create_future()
    monkeypatch.setattr(queue, "claim", lambda *_: answer)
    dispatcher = Dispatcher(queue, FakeClock())
    old, new = RecordingLink(), RecordingLink()
    running = asyncio.create_task(dispatcher.run())
    dispatcher.attach(ONE, old)
    dispatcher.credit(ONE, 1)
    await settle()
    dispatcher.attach(ONE, new)
    dispatcher.detach(ONE, old)
    answer.set_result(await claim(ONE, lane().id, 1))
    await settle()
    assert (old.sent, new.sent) == ([], [])
    assert dispatcher.seats.get(ONE) is not None
    assert (await queue.get([JobId(1)]))[0].state is JobState.CLAIMED  # type: ignore[union-attr]
    running.cancel()


async def test_a_draining_worker_gets_nothing() -> None:
    queue = MemoryJobQueue()
    await backlog(queue, 1)
    dispatcher = Dispatcher(queue, FakeClock())
    link = RecordingLink()
    running = asyncio.create_task(dispatcher.run())
    dispatcher.attach(TWO, link)
    dispatcher.drain(TWO)
    dispatcher.credit(TWO, 5)
    dispatcher.pending()
    await settle()
    assert link.sent == []
    running.cancel()


async def test_credit_that_a_claim_did_not_use_is_no_use_to_a_worker_that_drains(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue, link = MemoryJobQueue(), RecordingLink()
    await backlog(queue, 1)
    dispatcher = Dispatcher(queue, FakeClock())
    claim, claiming, answered = queue.claim, asyncio.Event(), asyncio.Event()

    async def slow(session: SessionId, lane: int, limit: int) -> list[ClaimedJob]:
        claiming.set()
        await answered.wait()
        return await claim(session, lane, limit)

    monkeypatch.setattr(queue, "claim", slow)
    running = asyncio.create_task(dispatcher.run())
    dispatcher.attach(ONE, link)
    dispatcher.credit(ONE, 5)
    await claiming.wait()
    dispatcher.drain(ONE)
    answered.set()
    await settle()
    assert dispatcher.seats.take() is None
    running.cancel()

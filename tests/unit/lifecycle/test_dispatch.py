import asyncio

import pytest

from mvm_ci.adapters.memory.queue import MemoryJobQueue
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import Digest, JobId, SessionId
from mvm_ci.domain.job import ClaimedJob, JobSpec, JobState, NewJob, Placed
from mvm_ci.domain.lane import lane
from mvm_ci.domain.outcome import Released
from mvm_ci.domain.segment import Segment
from mvm_ci.lifecycle.dispatch import PAUSE_MS, Dispatcher
from mvm_ci.ports.job_queue import Report
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

    def fail(*_: object) -> asyncio.Future[list[ClaimedJob]]:
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

    async def slow(session: SessionId, lane: int, limit: int, _: None) -> list[ClaimedJob]:
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


class Claims:
    """Claims of a queue that are answered when a test says so, each by itself."""

    def __init__(self, queue: MemoryJobQueue, monkeypatch: pytest.MonkeyPatch) -> None:
        self._claim = queue.claim
        self.asked: list[tuple[tuple[SessionId, int, int], asyncio.Future[list[ClaimedJob]]]] = []
        monkeypatch.setattr(queue, "claim", self)

    def __call__(
        self, session: SessionId, lane: int, limit: int, _: None
    ) -> asyncio.Future[list[ClaimedJob]]:
        answer: asyncio.Future[list[ClaimedJob]] = asyncio.get_running_loop().create_future()
        self.asked.append(((session, lane, limit), answer))
        return answer

    async def answer(self, number: int) -> None:
        asked, answer = self.asked[number]
        answer.set_result(await self._claim(*asked))


async def test_what_a_claim_brought_counts_before_another_one_s_journals_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue, clock = MemoryJobQueue(), FakeClock()
    await backlog(queue, 2)
    # They have begun before, and have journals.
    tail = Segment(0, 1, b"entry")
    begun = await queue.claim(TWO, lane().id, 2)
    reports = [Report(placed=Placed(job.id, 1), outcome=Released(), tail=tail) for job in begun]
    assert await queue.report(reports, 0) == [True, True]
    dispatcher = Dispatcher(queue, clock)
    dispatcher.limit_running({"default": 2})
    read: asyncio.Future[list[Segment]] = asyncio.get_running_loop().create_future()
    monkeypatch.setattr(queue, "journal", lambda *_: read)
    links = {ONE: RecordingLink(), TWO: RecordingLink()}
    for session, link in links.items():
        dispatcher.attach(session, link)
        dispatcher.credit(session, 1)
    dispatcher.pending()
    running = asyncio.create_task(dispatcher.run())
    await settle()
    # While the first one's journal is read, the second one's session ends.
    (held,) = await queue.held(TWO)
    rescued = await queue.rescue(TWO, clock.now_ms(), 3)
    dispatcher.detach(TWO)
    dispatcher.unplaced(rescued.placed)
    assert rescued.placed == (held,)
    read.set_result([tail])
    await settle()
    assert jobs(links[ONE]) == [begun[0].id]
    assert dispatcher.scheduler.limits.used(("default", None)) == 1
    running.cancel()


async def test_a_claim_that_fails_among_others_neither_loses_nor_doubles_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue, clock = MemoryJobQueue(), FakeClock()
    await backlog(queue, 4)
    dispatcher = Dispatcher(queue, clock)
    dispatcher.limit_running({"default": 4})
    claims = Claims(queue, monkeypatch)
    links = {ONE: RecordingLink(), TWO: RecordingLink()}
    for session, link in links.items():
        dispatcher.attach(session, link)
        dispatcher.credit(session, 2)
    dispatcher.pending()
    running = asyncio.create_task(dispatcher.run())
    await settle()
    await claims.answer(0)
    claims.asked[1][1].set_exception(Unavailable("the disk is full"))
    await settle()
    assert [jobs(link) for link in links.values()] == [[1, 2], []]
    assert dispatcher.scheduler.limits.used(("default", None)) == 2
    await clock.advance(PAUSE_MS)
    await claims.answer(2)
    await settle()
    assert [jobs(link) for link in links.values()] == [[1, 2], [3, 4]]
    assert len(claims.asked) == 3
    assert dispatcher.scheduler.limits.used(("default", None)) == 4
    running.cancel()

"""A dispatcher that can give nothing to anybody stands still."""

import asyncio

import pytest

from mvm_ci.adapters.memory.queue import MemoryJobQueue
from mvm_ci.domain.ids import Digest, JobId, SessionId
from mvm_ci.domain.job import JobSpec, NewJob
from mvm_ci.domain.lane import Concurrency, lane
from mvm_ci.domain.options import JobOptions
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.testing.clock import FakeClock, settle
from mvm_ci.wire.messages import Assign
from tests.unit.lifecycle.recording_link import RecordingLink

ONE = SessionId(1)
LANE = lane(concurrency=Concurrency(key="k", limit=None, starts=1, per_ms=100))


async def test_a_rate_that_is_free_again_does_not_keep_it_busy_without_a_worker() -> None:
    queue, clock = MemoryJobQueue(), FakeClock()
    spec = JobSpec(module=Digest("a" * 64), input=b"")
    new = [NewJob(id=JobId(n), spec=spec, created_ms=0, options=JobOptions(lane=LANE)) for n in (1, 2)]
    await queue.submit(new)
    dispatcher = Dispatcher(queue, clock)
    link = RecordingLink()
    running = asyncio.create_task(dispatcher.run())
    dispatcher.attach(ONE, link)
    dispatcher.pending()
    dispatcher.credit(ONE, 1)
    await settle()
    assert given(link) == [1]
    # The one credit is used; the second job waits for its time, then for credit only.
    dispatcher.scheduler.turn({}, 1, clock.now_ms())
    assert dispatcher.scheduler.next_ms() is not None
    dispatcher.pending()
    await settle()
    await clock.advance(200)
    assert dispatcher.scheduler.next_ms() is None
    assert not running.done()
    dispatcher.credit(ONE, 1)
    await settle()
    assert given(link) == [1, 2]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def given(link: RecordingLink) -> list[JobId]:
    return [item.placed.job for sent in link.sent if isinstance(sent, Assign) for item in sent.items]

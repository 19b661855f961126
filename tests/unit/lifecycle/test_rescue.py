"""What is told of the jobs of a session that ended."""

from mvm_ci.adapters.memory.event_log import MemoryEventLog
from mvm_ci.adapters.memory.queue import MemoryJobQueue
from mvm_ci.domain.events import EventKind
from mvm_ci.domain.ids import Digest, JobId, SessionId
from mvm_ci.domain.job import JobSpec, NewJob
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.events import Events
from mvm_ci.lifecycle.rescue import Rescuer
from mvm_ci.lifecycle.waiters import Waiters
from mvm_ci.testing.clock import FakeClock

JOB, SESSION = JobId(1), SessionId(70)


async def test_who_waits_until_a_job_rests_is_told_when_its_worker_is_lost_while_it_is_being_paused() -> None:
    queue, clock = MemoryJobQueue(), FakeClock()
    events = Events(MemoryEventLog(), clock)
    waiters = Waiters(events)
    rescuer = Rescuer(queue, clock, Dispatcher(queue, clock), waiters, max_losses=3)
    spec = JobSpec(module=Digest("a" * 64), input=b"")
    await queue.submit([NewJob(id=JOB, spec=spec, created_ms=0, session=SESSION)])
    await queue.pause([JOB])
    waiters.stopping(JOB)
    with waiters.expect([JOB]) as rest:
        assert (await rescuer.rescue(SESSION)).paused == (JOB,)
        assert await rest.wait(0)
    # And nobody goes on looking for how it was stopped.
    assert not events.concerns(JOB)
    assert events.counts[EventKind.PAUSED] == 1

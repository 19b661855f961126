"""Jobs and reports to test stores with."""

from mvm_ci.domain.ids import Digest, JobId, SessionId
from mvm_ci.domain.job import JobSpec, JobState, NewJob, Placed
from mvm_ci.domain.outcome import Completed, Failed, Failure, FailureKind, Outcome, Parked, Stopped, Suspended
from mvm_ci.domain.payload import Payload
from mvm_ci.ports.job_queue import JobQueue, Report, Segment

MODULE = Digest("5" * 64)
SESSION, OTHER_SESSION = SessionId(70), SessionId(71)
NOW = 1_700_000_000_000
FAILURE = Failure(kind=FailureKind.TRAP, message="unreachable", detail="at main")
FAILED, PARKED, COMPLETED = Failed(FAILURE), Parked(FAILURE), Completed(b'"done"')


def new_job(number: int, *, session: SessionId | None = None, payload: Payload = b"in") -> NewJob:
    spec = JobSpec(module=MODULE, input=payload, name=f"job {number}")
    return NewJob(id=JobId(number), spec=spec, created_ms=NOW, session=session)


def placed(number: int, epoch: int = 1) -> Placed:
    return Placed(JobId(number), epoch)


def report(
    number: int, outcome: Outcome, *, epoch: int = 1, tail: Segment | None = None, retry_ms: int | None = None
) -> Report:
    return Report(placed=placed(number, epoch), outcome=outcome, tail=tail, retry_ms=retry_ms)


async def reach(queue: JobQueue, number: int, state: JobState) -> None:
    """Submits a job and leads it into ``state`` on ``SESSION``, in its first epoch wherever it was placed."""
    await queue.submit([new_job(number, session=None if state is JobState.PENDING else SESSION)])
    if state not in {JobState.PENDING, JobState.CLAIMED}:
        assert await queue.start([placed(number)], NOW) == [True]
    match state:
        case JobState.SUSPENDED:
            await queue.report([report(number, Suspended(NOW + 1000))], NOW)
        case JobState.SCHEDULED:
            await queue.report([report(number, FAILED, retry_ms=NOW + 1000)], NOW)
        case JobState.CANCELLING | JobState.CANCELLED:
            await queue.cancel(JobId(number), NOW)
        case JobState.PAUSED:
            await queue.report([report(number, PARKED)], NOW)
        case JobState.COMPLETED:
            await queue.report([report(number, COMPLETED)], NOW)
        case JobState.FAILED:
            await queue.report([report(number, FAILED)], NOW)
        case JobState.DEAD:
            await queue.rescue(SESSION, NOW, 0)
        case _:
            pass
    if state is JobState.CANCELLED:
        await queue.report([report(number, Stopped())], NOW)
    (job,) = await queue.get([JobId(number)])
    assert job is not None
    assert job.state is state

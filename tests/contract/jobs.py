"""Jobs and reports to test stores with."""

from msgspec.structs import replace

from mvm_ci.domain.ids import Digest, JobId, SessionId
from mvm_ci.domain.job import ClaimedJob, JobSpec, JobState, NewJob, Placed
from mvm_ci.domain.lane import begun
from mvm_ci.domain.options import DEFAULT_OPTIONS, Dependency, JobOptions
from mvm_ci.domain.outcome import Completed, Failed, Failure, FailureKind, Outcome, Parked, Stopped, Suspended
from mvm_ci.domain.payload import Payload
from mvm_ci.ports.job_queue import JobQueue, Report, Segment

MODULE = Digest("5" * 64)
SESSION, OTHER_SESSION = SessionId(70), SessionId(71)
UPSTREAM = JobId(1 << 40)
"""What a blocked job waits for."""
NOW = 1_700_000_000_000
FAILURE = Failure(kind=FailureKind.TRAP, message="unreachable", detail="at main")
FAILED, PARKED, COMPLETED = Failed(FAILURE), Parked(FAILURE), Completed(b'"done"')


def new_job(
    number: int,
    *,
    session: SessionId | None = None,
    payload: Payload = b"in",
    options: JobOptions = DEFAULT_OPTIONS,
    secrets: tuple[str, ...] = (),
) -> NewJob:
    spec = JobSpec(module=MODULE, input=payload, name=f"job {number}", secrets=secrets)
    return NewJob(id=JobId(number), spec=spec, created_ms=NOW, options=options, session=session)


async def claim(queue: JobQueue, session: SessionId, limit: int) -> list[ClaimedJob]:
    """Of all jobs without options: those whose attempt has begun, then the others."""
    lane = DEFAULT_OPTIONS.lane.id
    jobs = await queue.claim(session, begun(lane), limit)
    return jobs + await queue.claim(session, lane, limit - len(jobs))


def placed(number: int, epoch: int = 1) -> Placed:
    return Placed(JobId(number), epoch)


def report(
    number: int, outcome: Outcome, *, epoch: int = 1, tail: Segment | None = None, retry_ms: int | None = None
) -> Report:
    return Report(placed=placed(number, epoch), outcome=outcome, tail=tail, retry_ms=retry_ms)


async def _lead(queue: JobQueue, number: int, state: JobState) -> None:
    """Leads a job on ``SESSION`` into a state that it reaches by one event, or two."""
    ends = {
        JobState.SUSPENDED: report(number, Suspended(NOW + 1000)),
        JobState.SCHEDULED: report(number, FAILED, retry_ms=NOW + 1000),
        JobState.PAUSED: report(number, PARKED),
        JobState.COMPLETED: report(number, COMPLETED),
        JobState.FAILED: report(number, FAILED),
    }
    if state in ends:
        await queue.report([ends[state]], NOW)
    elif state in {JobState.CANCELLING, JobState.CANCELLED}:
        await queue.cancel([JobId(number)], NOW)
    elif state is JobState.PAUSING:
        await queue.pause([JobId(number)])
    elif state is JobState.DEAD:
        await queue.rescue(SESSION, NOW, 0)
    if state is JobState.CANCELLED:
        await queue.report([report(number, Stopped())], NOW)


async def reach(queue: JobQueue, number: int, state: JobState, secrets: tuple[str, ...] = ()) -> None:
    """Submits a job and leads it into ``state`` on ``SESSION``, in its first epoch wherever it was placed."""
    unplaced = {JobState.PENDING, JobState.BLOCKED}
    options = replace(DEFAULT_OPTIONS, after=(Dependency(UPSTREAM),))
    if state is JobState.BLOCKED:
        await queue.submit([new_job(UPSTREAM)])
    await queue.submit(
        [
            new_job(
                number,
                session=None if state in unplaced else SESSION,
                options=options if state is JobState.BLOCKED else DEFAULT_OPTIONS,
                secrets=secrets,
            )
        ]
    )
    if state not in unplaced | {JobState.CLAIMED}:
        assert await queue.start([placed(number)], NOW) == [True]
    await _lead(queue, number, state)
    (job,) = await queue.get([JobId(number)])
    assert job is not None
    assert job.state is state

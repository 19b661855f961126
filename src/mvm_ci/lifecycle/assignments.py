"""Claimed jobs as assignments: with what they have recorded, and with the secrets that they may read."""

from collections.abc import Sequence

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import ClaimedJob, Placed
from mvm_ci.domain.secrets import SecretValue
from mvm_ci.domain.segment import Segment
from mvm_ci.lifecycle.seats import fits_frame
from mvm_ci.lifecycle.secrets import Secrets
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import JobQueue
from mvm_ci.wire.messages import NO_DEADLINE, Assignment


class Assignments:
    """``secrets`` None: there are no jobs that name any."""

    def __init__(self, queue: JobQueue, secrets: Secrets | None, clock: Clock) -> None:
        self._queue = queue
        self._secrets = secrets
        self._clock = clock

    async def fresh(self, namespace: str, jobs: Sequence[ClaimedJob]) -> list[Assignment]:
        """Of jobs that have recorded nothing. Raises ``Unavailable``."""
        told: dict[tuple[str, ...], tuple[SecretValue, ...]] = {}
        if self._secrets is not None:
            for names in {job.spec.secrets for job in jobs} - {()}:
                told[names] = await self._secrets.of(namespace, names, ())
        now = self._clock.now_ms()
        return [
            Assignment(
                Placed(job.id, job.epoch),
                job.attempt,
                job.spec,
                secrets=told.get(job.spec.secrets, ()),
                left_ms=left_ms(job.deadline_ms, now),
            )
            for job in jobs
        ]

    async def resumed(self, namespace: str, job: ClaimedJob) -> list[Assignment]:
        """Of one that goes on. Raises ``Unavailable``."""
        journal = await read_journal(self._queue, job.id, job.attempt, job.journal_length)
        names = job.spec.secrets
        told = await self._secrets.of(namespace, names, journal) if self._secrets and names else ()
        if not fits_frame(sum(len(segment.data) for segment in journal)):
            journal = ()
        placed = Placed(job.id, job.epoch)
        left = left_ms(job.deadline_ms, self._clock.now_ms())
        return [Assignment(placed, job.attempt, job.spec, journal, job.journal_length, told, left)]


def left_ms(deadline_ms: int | None, now_ms: int) -> int:
    """What a worker is told of a job's deadline."""
    return NO_DEADLINE if deadline_ms is None else max(0, deadline_ms - now_ms)


async def read_journal(queue: JobQueue, job: JobId, attempt: int, length: int) -> tuple[Segment, ...]:
    """The segments that hold the first ``length`` entries of an attempt. Raises ``Unavailable`` if some are
    missing.
    """
    segments: list[Segment] = []
    at = 0
    while at < length:
        more = await queue.journal(job, attempt, at)
        if not more:
            raise Unavailable(f"the journal of job {job} ends at entry {at} of {length}")
        segments += more
        at = more[-1].first + more[-1].count
    return tuple(segments)

"""Claimed jobs as assignments: with what they have recorded, and with the secrets that they may read."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import structlog

from mvm_ci.domain.errors import CorruptJournal
from mvm_ci.domain.ids import JobId, SessionId, format_job_id
from mvm_ci.domain.job import ClaimedJob, Placed
from mvm_ci.domain.outcome import Failure, FailureKind
from mvm_ci.domain.secrets import SecretValue
from mvm_ci.domain.segment import Segment
from mvm_ci.journal.damage import Mended, mend
from mvm_ci.lifecycle.seats import fits_frame
from mvm_ci.lifecycle.secrets import Secrets
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import JobQueue
from mvm_ci.wire.messages import NO_DEADLINE, Assignment

log = structlog.get_logger(__name__)

Park: TypeAlias = Callable[[SessionId, Placed, Failure], Awaitable[None]]
"""Parks a placed job that cannot go on, and tells whoever waits for it. Raises ``Unavailable``."""


class Assignments:
    """``secrets`` None: there are no jobs that name any. ``park``: to be set before it is used."""

    def __init__(self, queue: JobQueue, secrets: Secrets | None, clock: Clock) -> None:
        self._queue = queue
        self._secrets = secrets
        self._clock = clock
        self.park: Park

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

    async def resumed(self, namespace: str, job: ClaimedJob, session: SessionId) -> list[Assignment]:
        """Of one that goes on; none: it cannot. Raises ``Unavailable``."""
        journal = await self._whole_journal(session, job)
        if journal is None:
            return []
        names = job.spec.secrets
        told = await self._secrets.of(namespace, names, journal) if self._secrets and names else ()
        length = sum(segment.count for segment in journal)
        if not fits_frame(sum(len(segment.data) for segment in journal)):
            journal = ()
        placed = Placed(job.id, job.epoch)
        left = left_ms(job.deadline_ms, self._clock.now_ms())
        return [Assignment(placed, job.attempt, job.spec, journal, length, told, left)]

    async def _whole_journal(self, session: SessionId, job: ClaimedJob) -> tuple[Segment, ...] | None:
        """The journal, a torn tail cut off; None: the job cannot go on. What was changed in the middle of it
        only a worker finds, which reads it all. Raises ``Unavailable``.
        """
        try:
            found = mend(
                await read_journal(self._queue, job.id, job.attempt, job.journal_length), job.journal_length
            )
        except CorruptJournal as error:
            log.error("journal_damaged", job=format_job_id(job.id), attempt=job.attempt, error=str(error))  # noqa: TRY400 (ours)
            failure = Failure(kind=FailureKind.ENGINE, message=str(error))
            await self.park(session, Placed(job.id, job.epoch), failure)
            return None
        if found.lost and not await self._cut(job, found):
            return None
        return found.segments

    async def _cut(self, job: ClaimedJob, found: Mended) -> bool:
        length = job.journal_length - found.lost
        if not await self._queue.cut_journal(Placed(job.id, job.epoch), length):
            return False
        log.error(
            "journal_tail_was_torn",
            job=format_job_id(job.id),
            attempt=job.attempt,
            entries=length,
            lost=found.lost,
            hint="the job goes on from its last whole entry; what it did after that it does again",
        )
        return True


def left_ms(deadline_ms: int | None, now_ms: int) -> int:
    """What a worker is told of a job's deadline."""
    return NO_DEADLINE if deadline_ms is None else max(0, deadline_ms - now_ms)


async def read_journal(queue: JobQueue, job: JobId, attempt: int, length: int) -> tuple[Segment, ...]:
    """The segments that hold the first ``length`` entries of an attempt, or as many as there are."""
    segments: list[Segment] = []
    at = 0
    while at < length and (more := await queue.journal(job, attempt, at)):
        segments += more
        at = more[-1].first + more[-1].count
    return tuple(segments)

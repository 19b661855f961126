"""Idempotency keys that are on their way into the queue, or just arrived: what its read may not show yet."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from mvm_ci.domain.errors import KeyReused
from mvm_ci.domain.ids import JobId, format_job_id
from mvm_ci.domain.job import NewJob
from mvm_ci.domain.options import Idempotency, JobOptions

_REMEMBERED: Final = 20_000
"""More than can be used between a read of the queue and its use."""


class _Use(NamedTuple):
    request: bytes
    job: JobId
    durable: asyncio.Future[None]


class HasOptions(Protocol):
    """A job that is submitted."""

    @property
    def options(self) -> JobOptions: ...
    @property
    def known(self) -> JobId | None: ...


class Keys:
    """The keys used last, newest at the end."""

    def __init__(self) -> None:
        self._used: dict[tuple[str, str], _Use] = {}

    def check(self, jobs: Sequence[HasOptions]) -> None:
        """Raises ``KeyReused`` if a key stands for another request, of an earlier job or of one of these."""
        here: dict[str, bytes] = {}
        for number, one in enumerate(jobs):
            once = one.options.idempotency
            if once is None or one.known is not None:
                continue
            used = self._used.get((one.options.lane.namespace, once.key))
            if used is not None and used.request != once.request:
                raise KeyReused(
                    f"jobs[{number}].idempotency_key: {once.key[:80]!r} stands for another request, "
                    f"that of job {format_job_id(used.job)}"
                )
            if here.setdefault(once.key, once.request) != once.request:
                raise KeyReused(
                    f"jobs[{number}].idempotency_key: {once.key[:80]!r} is another job's of this request"
                )

    def find(self, namespace: str, key: str) -> tuple[JobId | None, asyncio.Future[None] | None]:
        """The job that the key stands for, and what to wait for until it is durable."""
        used = self._used.get((namespace, key))
        return (None, None) if used is None else (used.job, used.durable)

    def use(self, namespace: str, once: Idempotency, job: JobId, durable: asyncio.Future[None]) -> None:
        """The key stands for this job from now on."""
        self._used[namespace, once.key] = _Use(once.request, job, durable)
        if len(self._used) > _REMEMBERED:
            oldest = next(iter(self._used))
            if self._used[oldest].durable.done():
                del self._used[oldest]

    def forget_jobs(self, jobs: Iterable[JobId]) -> None:
        """These jobs were deleted, and their keys with them."""
        gone = set(jobs)
        for key in [key for key, used in self._used.items() if used.job in gone]:
            del self._used[key]

    def forget_before(self, job: JobId) -> None:
        """Keys of older jobs are as the queue says."""
        old = [key for key, used in self._used.items() if used.job < job and used.durable.done()]
        for key in old:
            del self._used[key]

    def forget(self, jobs: Iterable[NewJob]) -> None:
        """These jobs could not be stored."""
        for job in jobs:
            once = job.options.idempotency
            if once is not None:
                self._used.pop((job.options.lane.namespace, once.key), None)

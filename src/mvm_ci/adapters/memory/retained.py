"""Retention of jobs in memory."""

import asyncio
from collections.abc import Mapping, MutableMapping
from collections.abc import Set as AbstractSet
from typing import TypeVar

from msgspec.structs import replace

from mvm_ci.adapters.memory.record import Record
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.job import FINAL, JobState
from mvm_ci.domain.payload import BlobRef, Payload
from mvm_ci.domain.retention import Bounds, FinishedJob, digests_in
from mvm_ci.ports.catalogue import Holding
from mvm_ci.ports.retention import FinishedPage, References, Removal

T = TypeVar("T")


class MemoryRetainedJobs:
    """A ``RetainedJobs`` on the records of a ``MemoryJobQueue``."""

    def __init__(self, records: MutableMapping[JobId, Record]) -> None:
        self._records = records

    def finished(self, before: JobId | None, limit: int) -> asyncio.Future[FinishedPage]:
        ids = sorted((job for job in self._records if before is None or job < before), reverse=True)[:limit]
        over = (self._records[job] for job in ids if self._records[job].job.state in FINAL)
        jobs = tuple(FinishedJob(record.job.id, _held(record)) for record in over)
        return _answered(FinishedPage(jobs, _last(ids, limit)))

    def remove_finished(self, after: JobId, bounds: Bounds, limit: int) -> asyncio.Future[Removal]:
        ids = sorted(job for job in self._records if after < job < bounds.before)[:limit]
        chosen = [job for job in ids if _removable(self._records, job, bounds)]
        for job in chosen:
            del self._records[job]
        return _answered(Removal(len(chosen), _last(ids, limit)))

    def remove_journals(self, after: JobId, bounds: Bounds, limit: int) -> asyncio.Future[Removal]:
        chosen, last = self._ended(after, bounds, limit)
        records = [r for r in chosen if r.job.state is not JobState.DEAD and r.journal_data()]
        for record in records:
            record.remove_journals()
        return _answered(Removal(len(records), last))

    def remove_artifacts(self, after: JobId, bounds: Bounds, limit: int) -> asyncio.Future[Removal]:
        chosen, last = self._ended(after, bounds, limit)
        count = 0
        for record in chosen:
            given = {name: kept for name, kept in record.artifacts.items() if kept.input}
            if record.job.state is not JobState.DEAD and len(given) < len(record.artifacts):
                record.artifacts = given
                count += 1
        return _answered(Removal(count, last))

    def forget_keys(self, after: JobId, bounds: Bounds, limit: int) -> asyncio.Future[Removal]:
        chosen, last = self._ended(after, bounds, limit)
        records = [record for record in chosen if record.job.options.idempotency is not None]
        for record in records:
            record.job = replace(record.job, options=replace(record.job.options, idempotency=None))
        return _answered(Removal(len(records), last))

    def _ended(self, after: JobId, bounds: Bounds, limit: int) -> tuple[list[Record], JobId | None]:
        """What is within ``bounds``, and the last one that was looked at."""
        ids = sorted(job for job in self._records if after < job < bounds.before)[:limit]
        return [self._records[job] for job in ids if _old(self._records[job], bounds)], _last(ids, limit)

    def references(self, after: JobId, among: AbstractSet[Digest], limit: int) -> asyncio.Future[References]:
        ids = sorted(job for job in self._records if job > after)[:limit]
        found: set[Digest] = set()
        modules: set[Holding] = set()
        for record in map(self._records.__getitem__, ids):
            payloads = (record.job.spec.input, record.job.result, *record.mail_bodies())
            module = record.job.spec.module
            found.add(module)
            if module in among:
                modules.add(Holding(record.job.options.lane.namespace, module))
            found |= {payload.digest for payload in payloads if isinstance(payload, BlobRef)}
            for data in record.journal_data():
                found |= digests_in(data)
        kept = frozenset(found & among)
        return _answered(References(kept, _last(ids, limit), frozenset(modules)))


def _removable(records: Mapping[JobId, Record], job: JobId, bounds: Bounds) -> bool:
    if not _old(records[job], bounds):
        return False
    return not any(record.needs(job) for record in records.values() if record.job.state not in FINAL)


def _old(record: Record, bounds: Bounds) -> bool:
    job = record.job
    ended_ms = job.finished_ms if job.state in FINAL else None
    return ended_ms is not None and ended_ms < bounds.ended_before_ms


def _held(record: Record) -> int:
    job = record.job
    payloads = (job.spec.input, job.result or b"", *record.mail_bodies())
    artifacts = sum(kept.artifact.size for kept in record.artifacts.values())
    return sum(map(_size, payloads)) + sum(map(len, record.journal_data())) + artifacts


def _size(payload: Payload) -> int:
    # A reference takes its digest's 32 bytes in the row, too.
    return payload.size + 32 if isinstance(payload, BlobRef) else len(payload)


def _last(ids: list[JobId], limit: int) -> JobId | None:
    return ids[-1] if len(ids) == limit else None


def _answered(result: T) -> asyncio.Future[T]:
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    future.set_result(result)
    return future

"""The reads of the job queue in memory."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import TypeVar

from mvm_ci.adapters.memory.record import Record
from mvm_ci.domain.ids import JobId, SessionId
from mvm_ci.domain.job import FINAL, PLACED, Event, Job, JobState, Placed, sources
from mvm_ci.domain.lane import Lane
from mvm_ci.domain.level import Level
from mvm_ci.domain.options import Dependency
from mvm_ci.domain.payload import size_of
from mvm_ci.ports.job_queue import EVERY_JOB, Holder, JobFilter, Keyed

T = TypeVar("T")
_WAITING = set(JobState) - FINAL - PLACED


def answered(result: T) -> asyncio.Future[T]:
    """A future that is done."""
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    future.set_result(result)
    return future


class Reads:
    """What can be asked of the records."""

    def __init__(self) -> None:
        self._records: dict[JobId, Record] = {}
        self._levels: dict[tuple[str, str], Level] = {}

    @property
    def records(self) -> dict[JobId, Record]:
        """All jobs."""
        return self._records

    def levels(self, now_ms: int) -> asyncio.Future[list[Level]]:
        left = {key: level.by(now_ms) for key, level in sorted(self._levels.items())}
        self._levels = {key: level for key, level in left.items() if level.full_ms > now_ms}
        return answered(list(self._levels.values()))

    def held(self, session: SessionId) -> asyncio.Future[list[Placed]]:
        return answered(self._held(session))

    def _held(self, session: SessionId) -> list[Placed]:
        held = (record.job for record in self._in_state(*PLACED) if record.job.session == session)
        return [Placed(job.id, job.epoch) for job in sorted(held, key=attrgetter("id"))]

    def next_wake(self) -> asyncio.Future[int | None]:
        return answered(min((wake_ms for wake_ms, _ in self._waiting()), default=None))

    def next_expiry(self) -> asyncio.Future[int | None]:
        return answered(min((expires_ms for expires_ms, _ in self._expiring()), default=None))

    def next_deadline(self) -> asyncio.Future[int | None]:
        return answered(min((deadline_ms for deadline_ms, _ in self._late()), default=None))

    def deadlines(self) -> asyncio.Future[dict[JobId, int]]:
        live = (record.job for record in self._in_state(*(set(JobState) - FINAL)))
        found = {job.id: job.options.deadline_ms for job in live}
        return answered({job: at_ms for job, at_ms in found.items() if at_ms is not None})

    def get(self, jobs: Sequence[JobId]) -> asyncio.Future[list[Job | None]]:
        found = (self._records.get(job_id) for job_id in jobs)
        return answered([record.job if record else None for record in found])

    def dependencies(self, job: JobId) -> asyncio.Future[list[Dependency]]:
        record = self._records.get(job)
        return answered(list(record.after) if record is not None else [])

    def list_jobs(self, which: JobFilter = EVERY_JOB, limit: int = 100) -> asyncio.Future[list[Job]]:
        newest = sorted((record.job for record in self._records.values()), key=attrgetter("id"), reverse=True)
        return answered([job for job in newest if which.selects(job)][:limit])

    def counts(self, namespace: str | None = None) -> asyncio.Future[dict[JobState, int]]:
        jobs = (record.job for record in self._records.values())
        counted = (job.state for job in jobs if namespace in {None, job.options.lane.namespace})
        return answered(dict(Counter(counted)))

    def oldest_ready(self) -> asyncio.Future[JobId | None]:
        return answered(min((record.job.id for record in self._in_state(JobState.PENDING)), default=None))

    def waiting(self, namespace: str) -> asyncio.Future[int]:
        waiting = self._in_state(*_WAITING)
        return answered(sum(record.job.options.lane.namespace == namespace for record in waiting))

    def stored(self, namespace: str) -> asyncio.Future[int]:
        records = [
            record for record in self._records.values() if record.job.options.lane.namespace == namespace
        ]
        payloads = [
            payload for record in records for payload in (record.job.spec.input, record.job.result or b"")
        ]
        sent = [payload for record in records for payload in record.mail_bodies(of_children=False)]
        return answered(sum(map(size_of, payloads + sent)))

    def ahead(self, job: JobId, limit: int) -> asyncio.Future[int]:
        asked = self._records.get(job)
        pending = self._in_state(JobState.PENDING)
        before = [r for r in pending if asked and r.lane_id == asked.lane_id and r.job.id < job]
        return answered(min(len(before), limit))

    def ready_lanes(self) -> asyncio.Future[dict[int, Lane]]:
        return answered(self._lanes(record.job.id for record in self._in_state(JobState.PENDING)))

    def _lanes(self, jobs: Iterable[JobId]) -> dict[int, Lane]:
        records = (self._records[job] for job in jobs)
        return {record.lane_id: record.job.options.lane for record in records}

    def upstreams(self) -> asyncio.Future[list[JobId]]:
        blocked = self._in_state(JobState.BLOCKED)
        return answered(list({dependency.job for record in blocked for dependency in record.after}))

    def holders(self) -> asyncio.Future[list[Holder]]:
        live = self._in_state(*(set(JobState) - FINAL))
        return answered(
            [
                Holder(
                    job=record.job.id,
                    lane=record.job.options.lane,
                    begun=record.begun,
                    placed=Placed(record.job.id, record.job.epoch) if record.job.state in PLACED else None,
                )
                for record in live
                if record.job.options.lane.concurrency is not None or record.job.state in PLACED
            ]
        )

    def with_key(self, namespace: str, key: str) -> asyncio.Future[list[JobId]]:
        live = (record.job for record in self._in_state(*(set(JobState) - FINAL)))
        return answered(
            sorted(
                (
                    job.id
                    for job in live
                    if job.options.lane.namespace == namespace
                    and job.options.lane.concurrency is not None
                    and job.options.lane.concurrency.key == key
                ),
                reverse=True,
            )
        )

    def keyed(self, namespace: str, keys: Sequence[str]) -> asyncio.Future[dict[str, Keyed]]:
        found: dict[str, Keyed] = {}
        for record in self._records.values():
            once = record.job.options.idempotency
            if once is not None and once.key in keys and record.job.options.lane.namespace == namespace:
                found[once.key] = Keyed(job=record.job.id, request=once.request)
        return answered(found)

    def _in_state(self, *states: JobState) -> list[Record]:
        return [record for record in self._records.values() if record.job.state in states]

    def _waiting(self) -> list[tuple[int, JobId]]:
        jobs = (record.job for record in self._in_state(*sources(Event.WAKE)))
        return [(job.wake_ms, job.id) for job in jobs if job.wake_ms is not None]

    def _expiring(self) -> list[tuple[int, JobId]]:
        jobs = (record.job for record in self._in_state(*sources(Event.EXPIRE)))
        return [(job.expires_ms, job.id) for job in jobs if job.expires_ms is not None]

    def _late(self) -> list[tuple[int, JobId]]:
        jobs = (record.job for record in self._in_state(*sources(Event.OVERDUE)))
        times = [(job.options.deadline_ms, job.id) for job in jobs]
        return [(at_ms, job) for at_ms, job in times if at_ms is not None]

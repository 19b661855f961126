"""What may run at once, and how often it may begin: the accounts of concurrency keys and namespaces."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.lane import Concurrency, Lane, has_begun

Key = tuple[str, str | None]
"""Namespace and concurrency key; None: the namespace's own limit of running jobs."""
_UNLIMITED = 1 << 30


class Room(NamedTuple):
    """``jobs`` more may begin now. 0: ``key`` is full; ``at_ms``: when a rate lets the next one begin."""

    jobs: int
    key: Key | None = None
    at_ms: int | None = None


class _Bucket:
    """Tokens of a rate. Empty at first: a restart of the process must not give a key a second helping."""

    __slots__ = ("at_ms", "tokens")

    def __init__(self, now_ms: int, tokens: float) -> None:
        self.tokens = tokens
        self.at_ms = now_ms


class Limits:
    """Slots of a concurrency key are held from the start of an attempt to its end, also while it sleeps or is
    paused; those of a namespace while a worker has the job.
    """

    def __init__(self, now_ms: int) -> None:
        self._began_ms = now_ms
        self._running: dict[str, int] = {}
        self._used: dict[Key, int] = {}
        self._attempts: dict[JobId, Key] = {}
        self._placements: dict[JobId, Key] = {}
        self._buckets: dict[Key, _Bucket] = {}

    def set_running(self, limits: Mapping[str, int]) -> None:
        """How many jobs of each namespace may be at workers at once; no limit for the others.

        Counts what is placed from now on.
        """
        self._running = dict(limits)

    def unlimited(self, lane: Lane) -> bool:
        """Whether nothing ever limits this lane."""
        return lane.concurrency is None and lane.namespace not in self._running

    def room(self, lane: Lane, lane_id: int, now_ms: int) -> Room:
        """How many jobs of a lane may be placed now."""
        count = _UNLIMITED
        running = self._running.get(lane.namespace)
        if running is not None:
            key: Key = (lane.namespace, None)
            count = running - self._used.get(key, 0)
            if count <= 0:
                return Room(0, key)
        concurrency = lane.concurrency
        if concurrency is None or has_begun(lane_id):
            return Room(count)
        key = (lane.namespace, concurrency.key)
        if concurrency.limit is not None:
            count = min(count, concurrency.limit - self._used.get(key, 0))
            if count <= 0:
                return Room(0, key)
        if concurrency.starts is not None:
            tokens = self._tokens(key, concurrency, concurrency.starts, now_ms)
            if tokens < 1:
                wait = (1 - tokens) * concurrency.per_ms / concurrency.starts
                return Room(0, key, now_ms + max(1, int(wait + 0.999)))
            count = min(count, int(tokens))
        return Room(count)

    def reserve(self, lane: Lane, lane_id: int, count: int) -> None:
        """Takes ``count`` slots, before it is known for which jobs."""
        if lane.namespace in self._running:
            self._add((lane.namespace, None), count)
        if lane.concurrency is not None and not has_begun(lane_id):
            key = (lane.namespace, lane.concurrency.key)
            self._add(key, count)
            bucket = self._buckets.get(key)
            if bucket is not None:
                bucket.tokens -= count

    def placed(self, lane: Lane, lane_id: int, reserved: int, jobs: Iterable[JobId]) -> None:
        """These jobs were placed with slots reserved for ``reserved``; the others are free again."""
        taken = 0
        for job in jobs:
            taken += 1
            if lane.namespace in self._running:
                self._placements[job] = (lane.namespace, None)
            if lane.concurrency is not None and not has_begun(lane_id):
                self._attempts[job] = (lane.namespace, lane.concurrency.key)
        self.reserve(lane, lane_id, taken - reserved)

    def holds(self, job: JobId, lane: Lane, *, placed: bool) -> None:
        """A job of before this process's start holds its slots."""
        if lane.concurrency is not None:
            self._attempts[job] = key = (lane.namespace, lane.concurrency.key)
            self._add(key, 1)
        if placed and lane.namespace in self._running:
            self._placements[job] = (lane.namespace, None)
            self._add((lane.namespace, None), 1)

    def has(self, job: JobId) -> bool:
        """Whether a job holds a slot."""
        return job in self._attempts or job in self._placements

    def unplaced(self, jobs: Iterable[JobId]) -> list[Key]:
        """No worker has these jobs any more; the keys in which slots became free."""
        return self._free(self._placements, jobs) if self._placements else []

    def ended(self, jobs: Iterable[JobId]) -> list[Key]:
        """The attempts of these jobs have ended; the keys in which slots became free."""
        jobs = tuple(jobs)
        return self.unplaced(jobs) + (self._free(self._attempts, jobs) if self._attempts else [])

    def used(self, key: Key) -> int:
        """Slots of a key that are held."""
        return self._used.get(key, 0)

    def _free(self, holders: dict[JobId, Key], jobs: Iterable[JobId]) -> list[Key]:
        keys = [key for job in jobs if (key := holders.pop(job, None)) is not None]
        for key in keys:
            self._add(key, -1)
        return keys

    def _add(self, key: Key, count: int) -> None:
        used = self._used.get(key, 0) + count
        if used:
            self._used[key] = used
        else:
            self._used.pop(key, None)

    def _tokens(self, key: Key, concurrency: Concurrency, starts: int, now_ms: int) -> float:
        bucket = self._buckets.get(key)
        if bucket is None:
            # What the time since this process's start has brought, at most a whole helping.
            full = min(float(starts), (now_ms - self._began_ms) * starts / concurrency.per_ms)
            bucket = self._buckets[key] = _Bucket(now_ms, full)
        passed = max(0, now_ms - bucket.at_ms)
        bucket.tokens = min(float(starts), bucket.tokens + passed * starts / concurrency.per_ms)
        bucket.at_ms = now_ms
        return bucket.tokens

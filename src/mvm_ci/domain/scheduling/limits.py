"""What may run at once, and how often it may begin: the accounts of concurrency keys and namespaces."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.lane import Concurrency, Lane, has_begun
from mvm_ci.domain.level import Level

Key = tuple[str, str | None]
"""Namespace and concurrency key; None: the namespace's own limit of running jobs."""
_UNLIMITED = 1 << 30
_BUCKETS = 1_000
"""So many buckets are kept before it is looked which of them are full again."""
_NEARLY = 1e-9
"""How much a token may lack: whether it flows in at once or bit by bit makes a difference to a float. Of the
slowest rates it is less than a millisecond.
"""
_NEVER, _FOR_EVER = -1, 1 << 62
"""Epochs before and after all."""
_NOWHERE = ("", _NEVER)


class Room(NamedTuple):
    """``jobs`` more may begin now. 0: ``key`` is full; ``at_ms``: when a rate lets the next one begin."""

    jobs: int
    key: Key | None = None
    at_ms: int | None = None


class Running:
    """The account of a namespace's limit of running jobs.

    ``reserved``: slots that were taken before it is known for which jobs. ``counted``: ``jobs`` has those of
    before there was a limit, too; until then there is no room.
    """

    __slots__ = ("counted", "jobs", "limit", "reserved")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.reserved = 0
        self.jobs: set[JobId] = set()
        self.counted = False

    @property
    def used(self) -> int:
        """Slots that are held."""
        return self.reserved + len(self.jobs)


class _Bucket:
    """Tokens of a rate, as they were at ``at_ms``; ``per_ms`` later it is full, whatever was taken before."""

    __slots__ = ("at_ms", "per_ms", "tokens")

    def __init__(self, tokens: float, at_ms: int, per_ms: int) -> None:
        self.tokens = tokens
        self.at_ms = at_ms
        self.per_ms = per_ms


class Limits:
    """Slots of a concurrency key are held from the start of an attempt to its end, also while it sleeps or is
    paused; those of a namespace while a worker has the job. What is told late of an earlier placement frees
    nothing. The rate of a key of which nothing is known is unused.
    """

    def __init__(self) -> None:
        self._running: dict[str, Running] = {}
        self._used: dict[Key, int] = {}
        self._rules: dict[Key, Concurrency] = {}
        """Of the keys that are used, as they were named last."""
        self._attempts: dict[JobId, Key] = {}
        self._placements: dict[JobId, tuple[str, int]] = {}
        """Namespace and epoch."""
        self._gone: dict[JobId, int] | None = None
        """The last epoch of what left workers while accounts are uncounted."""
        self._buckets: dict[Key, _Bucket] = {}
        self._most_buckets = _BUCKETS

    def set_running(self, limits: Mapping[str, int]) -> None:
        """How many jobs of each namespace may be at workers at once; no limit for the others.

        A namespace that had no limit has no room until what its workers have is ``counted``.
        """
        for namespace in self._running.keys() - limits.keys():
            for job in self._running.pop(namespace).jobs:
                del self._placements[job]
        for namespace, limit in limits.items():
            self._running.setdefault(namespace, Running(limit)).limit = limit
        self._note_gone()

    def uncounted(self) -> list[Running]:
        """The accounts that lack the jobs of before."""
        return [account for account in self._running.values() if not account.counted]

    def counted(self, accounts: Sequence[Running], there: Iterable[tuple[Placed, str]]) -> list[Key]:
        """``there``: what workers had, with its namespace, at some time after ``accounts`` were
        ``uncounted``. Returns the keys that have room from now on.
        """
        asked = set(accounts)
        for placed, namespace in there:
            account = self._running.get(namespace)
            known = self._placements.get(placed.job)
            if (
                account is not None
                and account in asked
                and placed.epoch > (self._gone or {}).get(placed.job, _NEVER)
                and (known is None or known[1] < placed.epoch)
            ):
                self._place(placed, namespace, account)
        for account in asked:
            account.counted = True
        self._note_gone()
        return [(namespace, None) for namespace, account in self._running.items() if account in asked]

    def unlimited(self, lane: Lane) -> bool:
        """Whether nothing ever limits this lane."""
        return lane.concurrency is None and lane.namespace not in self._running

    def room(self, lane: Lane, lane_id: int, now_ms: int) -> Room:
        """How many jobs of a lane may be placed now."""
        count = _UNLIMITED
        running = self._running.get(lane.namespace)
        if running is not None:
            key: Key = (lane.namespace, None)
            count = running.limit - running.used if running.counted else 0
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
            whole = int(tokens + _NEARLY)
            if whole < 1:
                wait = (1 - tokens) * concurrency.per_ms / concurrency.starts
                return Room(0, key, now_ms + max(1, int(wait + 0.999)))
            count = min(count, whole)
        return Room(count)

    def reserve(self, lane: Lane, lane_id: int, count: int) -> Running | None:
        """Takes ``count`` slots, before it is known for which jobs; those of the namespace in the account
        that is returned.
        """
        self._reserve_attempts(lane, lane_id, count)
        account = self.account(lane)
        if account is not None:
            account.reserved += count
        return account

    def account(self, lane: Lane) -> Running | None:
        """That of the lane's namespace; None: it has no limit."""
        return self._running.get(lane.namespace)

    def placed(
        self, lane: Lane, lane_id: int, jobs: Sequence[Placed], reserved: int, account: Running | None
    ) -> None:
        """These jobs were placed with ``reserved`` slots, those of the namespace in ``account``; the others
        are free again.
        """
        if account is not None:
            account.reserved -= reserved
        # Not the same account, if the limit was set or removed meanwhile.
        running = self.account(lane)
        if running is not None:
            for placed in jobs:
                self._place(placed, lane.namespace, running)
        if lane.concurrency is not None and not has_begun(lane_id):
            key = (lane.namespace, lane.concurrency.key)
            self._attempts.update((placed.job, key) for placed in jobs)
        self._reserve_attempts(lane, lane_id, len(jobs) - reserved)

    def holds(self, job: JobId, lane: Lane) -> None:
        """An attempt of before this process's start holds its slot."""
        if lane.concurrency is not None:
            self._attempts[job] = key = (lane.namespace, lane.concurrency.key)
            self._rules[key] = lane.concurrency
            self._add(key, 1)

    def restore(self, levels: Iterable[Level]) -> None:
        """What starts of before this process's start left of rates."""
        for level in levels:
            bucket = _Bucket(level.tokens, level.at_ms, level.full_ms - level.at_ms)
            self._buckets[level.namespace, level.key] = bucket

    def level(self, lane: Lane, lane_id: int) -> Level | None:
        """What is left of the rate of a lane's key; None: no job of this lane takes from one."""
        if lane.concurrency is None or has_begun(lane_id):
            return None
        key = lane.concurrency.key
        bucket = self._buckets.get((lane.namespace, key))
        if bucket is None:
            return None
        return Level(lane.namespace, key, bucket.tokens, bucket.at_ms, bucket.at_ms + bucket.per_ms)

    def has(self, job: JobId) -> bool:
        """Whether a job holds a slot."""
        return job in self._attempts or job in self._placements

    def unplaced(self, placements: Iterable[Placed]) -> list[Key]:
        """No worker has these any more; the key of each slot that became free."""
        if not self._running:
            return []
        placements = tuple(placements)
        if self._gone is not None:
            self._gone.update((placed.job, placed.epoch) for placed in placements)
        return [
            self._take_away(placed.job)
            for placed in placements
            if self._placements.get(placed.job, _NOWHERE)[1] == placed.epoch
        ]

    def ended(self, jobs: Iterable[JobId]) -> list[Key]:
        """The attempts of these jobs have ended; the key of each slot that became free."""
        jobs = tuple(jobs)
        keys = [key for job in jobs if (key := self._attempts.pop(job, None)) is not None]
        for key in keys:
            self._add(key, -1)
        if self._gone is not None:
            self._gone.update(dict.fromkeys(jobs, _FOR_EVER))
        return [self._take_away(job) for job in jobs if job in self._placements] + keys

    def used(self, key: Key) -> int:
        """Slots of a key that are held."""
        namespace, name = key
        if name is None:
            return self._running[namespace].used if namespace in self._running else 0
        return self._used.get(key, 0)

    def keys(self, namespace: str) -> list[tuple[Concurrency, int]]:
        """The concurrency keys of a namespace of which slots are held, and how many."""
        return [(rule, self._used[key]) for key, rule in self._rules.items() if key[0] == namespace]

    def running(self, namespace: str) -> tuple[int, int] | None:
        """Jobs that workers have, and may have; None: the namespace has no limit."""
        account = self._running.get(namespace)
        return None if account is None else (account.used, account.limit)

    def _place(self, placed: Placed, namespace: str, account: Running) -> None:
        self._placements[placed.job] = (namespace, placed.epoch)
        account.jobs.add(placed.job)

    def _take_away(self, job: JobId) -> Key:
        namespace, _ = self._placements.pop(job)
        self._running[namespace].jobs.discard(job)
        return namespace, None

    def _note_gone(self) -> None:
        if not self.uncounted():
            self._gone = None
        elif self._gone is None:
            self._gone = {}

    def _reserve_attempts(self, lane: Lane, lane_id: int, count: int) -> None:
        if lane.concurrency is not None and not has_begun(lane_id):
            key = (lane.namespace, lane.concurrency.key)
            self._rules[key] = lane.concurrency
            self._add(key, count)
            bucket = self._buckets.get(key)
            if bucket is not None:
                bucket.tokens -= count

    def _add(self, key: Key, count: int) -> None:
        used = self._used.get(key, 0) + count
        if used:
            self._used[key] = used
        else:
            self._used.pop(key, None)
            self._rules.pop(key, None)

    def _tokens(self, key: Key, concurrency: Concurrency, starts: int, now_ms: int) -> float:
        bucket = self._buckets.get(key)
        if bucket is None:
            self._forget_full(now_ms)
            bucket = self._buckets[key] = _Bucket(float(starts), now_ms, concurrency.per_ms)
        passed = max(0, now_ms - bucket.at_ms)
        bucket.tokens = min(float(starts), bucket.tokens + passed * starts / concurrency.per_ms)
        bucket.at_ms = now_ms
        # Lanes of one key may name other rates.
        bucket.per_ms = max(bucket.per_ms, concurrency.per_ms)
        return bucket.tokens

    def _forget_full(self, now_ms: int) -> None:
        """A full bucket is as good as none. Looked for when twice as many are there as were left the last
        time: few steps for each.
        """
        if len(self._buckets) >= self._most_buckets:
            self._buckets = {
                key: bucket for key, bucket in self._buckets.items() if now_ms - bucket.at_ms < bucket.per_ms
            }
            self._most_buckets = 2 * len(self._buckets) + _BUCKETS

"""Back-pressure: a submission is refused, with a time to come back, before something is full."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from mvm_ci.domain.errors import DiskFull, QueueFull, QuotaExceeded, Unavailable
from mvm_ci.domain.job import FINAL
from mvm_ci.domain.quota import Quota, Usage, check
from mvm_ci.lifecycle.stored_bytes import StoredBytes
from mvm_ci.lifecycle.waiters import Waiters
from mvm_ci.ports.artifacts import ArtifactStore
from mvm_ci.ports.catalogue import Catalogue
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.disk import Disk
from mvm_ci.ports.job_queue import JobQueue

_REFUSALS: Final = (QueueFull, QuotaExceeded, DiskFull)
LOOK_MS: Final = 1_000
"""The disk is looked at, and a full queue is counted anew, this often at most."""
RECOUNT_MS: Final = 3_600_000
"""So old a count is made anew in any case: an end that two parts told of made it too low."""


class Backpressure:
    """Knows how many jobs have not ended, mostly without counting them: what the store had at the last count,
    and what came, less what ended since.

    ``quotas``: of namespaces that have one; ``refused``: submissions, by the error's code.
    """

    def __init__(
        self,
        queue: JobQueue,
        catalogue: Catalogue,
        artifacts: ArtifactStore,
        clock: Clock,
        waiters: Waiters,
        disk: Disk,
        *,
        max_jobs: int,
        min_free_bytes: int,
    ) -> None:
        self._queue = queue
        self._clock = clock
        self._waiters = waiters
        self._disk = disk
        self._max_jobs = max_jobs
        self._min_free = min_free_bytes
        self._counted = 0
        self._added = 0
        self._durable = 0
        self._ends = 0
        self._counted_ms = 0
        self._looked_ms = -LOOK_MS
        self._free = 0
        self._coming = 0  # announced, and not on the disk yet
        self._stored = StoredBytes(queue, catalogue, artifacts, clock)
        self.quotas: Mapping[str, Quota] = {}
        self.refused: Counter[str] = Counter({error.code: 0 for error in _REFUSALS})

    async def restore(self) -> None:
        """Counts. Raises ``Unavailable``."""
        self._counted_ms = self._clock.now_ms()
        # What is under way now may be in the count or not: it is taken as not. So the figure may be too high
        # for a moment, which the next count mends, but not too low.
        durable = self._durable
        counts = await self._queue.counts()
        self._counted = sum(count for state, count in counts.items() if state not in FINAL) - durable
        self._ends = self._waiters.ends

    @property
    def live(self) -> int:
        """Jobs that have not ended."""
        return max(0, self._counted + self._added - (self._waiters.ends - self._ends))

    def added(self, count: int) -> None:
        """So many jobs were handed to the queue; negative: they could not be stored."""
        self._added += count

    def durable(self, count: int) -> None:
        """So many of the jobs that were ``added`` are durable."""
        self._durable += count

    async def admit(self, namespace: str, count: int) -> None:
        """Raises ``QueueFull``, ``QuotaExceeded`` or ``DiskFull`` if ``count`` more jobs may not come in."""
        try:
            await self._admit(namespace, count)
        except _REFUSALS as error:
            self.refused[error.code] += 1
            raise

    async def _admit(self, namespace: str, count: int) -> None:
        age_ms = self._clock.now_ms() - self._counted_ms
        if not 0 <= age_ms < (LOOK_MS if self.live + count > self._max_jobs else RECOUNT_MS):
            await self.restore()
        if self.live + count > self._max_jobs:
            raise QueueFull(
                f"{self.live} jobs have not ended; with {count} more, the limit of {self._max_jobs} "
                "were passed"
            )
        quota = self.quotas.get(namespace)
        if quota is not None and quota.max_waiting is not None:
            waiting = await self._queue.waiting(namespace)
            check(namespace, quota, Usage(waiting=waiting), Usage(waiting=count))
        await self._check_disk()

    async def admit_bytes(self, namespace: str, size: int) -> None:
        """Raises ``QuotaExceeded`` if a namespace may not store ``size`` more bytes of inputs, modules or
        artifacts, which count as stored from now on; ``Unavailable``.
        """
        if await self._limits_bytes(namespace, size):
            self._stored.added(namespace, size)

    async def look_ahead(self, namespace: str, size: int) -> None:
        """Raises ``QuotaExceeded`` or ``DiskFull`` if so many bytes, which are about to come, could not be
        stored; ``Unavailable``. They do not count until they are admitted.
        """
        await self._limits_bytes(namespace, size)
        await self._check_disk(size + self._coming)

    @asynccontextmanager
    async def coming(self, size: int) -> AsyncIterator[Callable[[int], None]]:
        """So many bytes come now; what is yielded is told of those that are on the disk. Raises ``DiskFull``
        if there is no room for them beside all else that comes.
        """
        left = size

        def came(count: int) -> None:
            nonlocal left
            count = min(count, left)
            left -= count
            self._coming -= count

        self._coming += size
        try:
            await self._check_disk(self._coming)
            yield came
        finally:
            came(left)

    async def _limits_bytes(self, namespace: str, size: int) -> bool:
        """Whether the namespace has such a limit; ``size`` more bytes are within it."""
        quota = self.quotas.get(namespace)
        if quota is None or quota.max_bytes is None:
            return False
        check(namespace, quota, Usage(stored=await self._stored.used(namespace)), Usage(stored=size))
        return True

    async def explained(self, error: Exception) -> Exception:
        """Why a store failed: ``DiskFull`` if the disk is, else ``error``. It may have filled up since it was
        looked at last.
        """
        if isinstance(error, Unavailable):
            try:
                self._looked_ms = self._clock.now_ms() - LOOK_MS
                await self._check_disk()
            except DiskFull as full:
                return full
            except Unavailable:
                return error
        return error

    async def _check_disk(self, coming: int = 0) -> None:
        now = self._clock.now_ms()
        if now - self._looked_ms >= LOOK_MS or now < self._looked_ms:
            self._free = await self._disk.free_bytes()
            self._looked_ms = now
        if self._free - coming < self._min_free:
            what = f"{coming >> 20} MiB more must leave" if coming else "jobs are taken from"
            raise DiskFull(
                f"{self._free >> 20} MiB are free on the disk of the control plane's state; "
                f"{what} {self._min_free >> 20} MiB{'' if coming else ' on'}"
            )

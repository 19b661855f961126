"""What namespaces with a quota of bytes hold: counted by the store now and then, not kept up to date by every
write. So a namespace without such a quota pays nothing for it.
"""

import asyncio
from typing import Final

from mvm_ci.ports.artifacts import ArtifactStore
from mvm_ci.ports.catalogue import Catalogue
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.job_queue import JobQueue

COUNT_MS: Final = 5_000
"""A count is used for so long at least."""
SHARE: Final = 20
"""And for so many times as long as it took: counting takes no more than this part of the time."""


class _Account:
    def __init__(self) -> None:
        self.counting = asyncio.Lock()
        self.counted: int | None = None
        self.added = 0
        """Since the last count began."""
        self.counted_ms = 0
        self.again_ms = 0

    def due(self, now_ms: int) -> bool:
        """Whether it is to be counted anew, also after a clock that was set back."""
        return self.counted is None or not self.counted_ms <= now_ms < self.again_ms


class StoredBytes:
    """The last count, and what was admitted since it began: too much rather than too little, but for results
    that came after the count.
    """

    def __init__(self, queue: JobQueue, catalogue: Catalogue, artifacts: ArtifactStore, clock: Clock) -> None:
        self._queue = queue
        self._artifacts = artifacts
        self._catalogue = catalogue
        self._clock = clock
        self._accounts: dict[str, _Account] = {}

    async def used(self, namespace: str) -> int:
        """Bytes, as far as they are known. Raises ``Unavailable``."""
        account = self._accounts.setdefault(namespace, _Account())
        # While one caller counts, the others take the count before, if there is one.
        if account.due(self._clock.now_ms()) and (account.counted is None or not account.counting.locked()):
            async with account.counting:
                if account.due(self._clock.now_ms()):
                    await self._count(namespace, account)
        return (account.counted or 0) + account.added

    def added(self, namespace: str, size: int) -> None:
        """So many bytes were admitted."""
        account = self._accounts.get(namespace)
        if account is not None:
            account.added += size

    async def _count(self, namespace: str, account: _Account) -> None:
        began, before = self._clock.now_ms(), account.added
        jobs = await self._queue.stored(namespace)
        modules = await self._catalogue.module_bytes(namespace)
        account.counted = jobs + modules + await self._artifacts.stored(namespace)
        # What is admitted while the store counts may be in the count, or not: it counts as added still.
        account.added -= before
        account.counted_ms = now = self._clock.now_ms()
        account.again_ms = now + max(COUNT_MS, SHARE * (now - began))

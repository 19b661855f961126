"""The session's lease, as the worker counts it: always shorter than the control plane does."""

import asyncio
from typing import Final

from mvm_ci.domain.job import Placed
from mvm_ci.ports.clock import Clock

MARGIN_SHARE: Final = 0.1
"""Part of the lease that the worker does not use: clocks may differ in speed by as much, and a check takes
time.
"""


class SessionLease:
    """``ports.engine.OwnLease``. Not valid before the first renewal."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: int | None = None
        self._renewed = asyncio.Event()

    def valid(self) -> bool:
        """Whether it has not run out."""
        return self._until is not None and self._clock.lease_ms() < self._until

    async def wait_valid(self, _placed: Placed) -> None:
        await self.until_valid()

    def left_ms(self) -> int:
        return 0 if self._until is None else max(0, self._until - self._clock.lease_ms())

    async def until_valid(self) -> None:
        while not self.valid():
            self._renewed.clear()
            await self._renewed.wait()

    def renew(self, sent_ms: int, lease_ms: int) -> None:
        """The control plane answered what was sent at ``sent_ms`` (lease clock)."""
        until = sent_ms + lease_ms - max(1, int(lease_ms * MARGIN_SHARE))
        # Answers come in order, but a shorter lease of a new session counts from now on.
        self._until = until
        if self.valid():
            self._renewed.set()

    def end(self) -> None:
        """The session is over: no effect may leave."""
        self._until = None

"""How late the event loop is: whatever keeps it busy delays every answer by as much."""

import asyncio
from typing import Final

from mvm_ci.domain.histogram import LAG_S, Histogram

EVERY_S: Final = 0.5


class LoopLag:
    """Samples it. ``lag_s``: by how much each wake-up came too late."""

    def __init__(self) -> None:
        self.lag_s = Histogram(LAG_S)

    async def run(self) -> None:
        """Runs until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + EVERY_S
            await asyncio.sleep(EVERY_S)
            self.lag_s.add(max(0.0, loop.time() - due))

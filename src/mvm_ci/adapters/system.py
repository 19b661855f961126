"""The machine's clocks."""

import asyncio
import time


class SystemClock:
    """``ports.clock.Clock`` on the machine's real time. Linux: ``CLOCK_BOOTTIME`` goes on while a laptop
    sleeps.
    """

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def lease_ms(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    async def sleep(self, ms: float) -> None:
        await asyncio.sleep(ms / 1000)

"""The machine's clocks and disks, and this process's memory."""

import asyncio
import gc
import os
import time
from pathlib import Path
from typing import Final

from mvm_ci.domain.errors import Unavailable

_GC_THRESHOLD: Final = 50_000


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


class DirectoryDisk:
    """``ports.disk.Disk``: the file system of a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def free_bytes(self) -> int:
        return await asyncio.to_thread(self._free)

    def _free(self) -> int:
        try:
            found = os.statvfs(self._directory)
        except OSError as error:
            raise Unavailable(
                f"the disk of {self._directory} cannot be looked at: {error.strerror}"
            ) from error
        return found.f_bavail * found.f_frsize


def spare_collections() -> None:
    """What lives by now lives as long as the process: full collections over it would only stop all else."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, *gc.get_threshold()[1:])

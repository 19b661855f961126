"""A body as it comes: a small one in memory, a larger one in a file without a name.

A server decides how long its answer takes to come, and hundreds are under way at once: as long as they come,
they hold next to no memory. The file is gone with the process, however that ends.
"""

import asyncio
import contextlib
import tempfile
from pathlib import Path
from typing import IO, Final

from mvm_ci.adapters.http.target import Failed

MAX_IN_MEMORY: Final = 64 << 10
_WRITE: Final = 256 << 10


class Spool:
    """Implements ``ports.http_client.LargeBody`` once it is whole. ``directory``: where files are made."""

    def __init__(self, directory: Path | None) -> None:
        self.size = 0
        self._directory = directory
        self._file: IO[bytes] | None = None
        self._gathered = bytearray()
        self._closed = False

    async def add(self, data: bytes | bytearray) -> None:
        """The next bytes. Raises ``Failed`` if they cannot be kept."""
        self.size += len(data)
        self._gathered += data
        if len(self._gathered) >= _WRITE or (self._file is None and self.size > MAX_IN_MEMORY):
            gathered, self._gathered = self._gathered, bytearray()
            try:
                await asyncio.to_thread(self._write, gathered)
            except OSError as error:
                raise Failed("too-large", f"this worker cannot keep the answer: {error.strerror}") from error

    def small(self) -> bytes | None:
        """All of it, unless it is in a file."""
        return bytes(self._gathered) if self._file is None else None

    async def read(self) -> bytes:
        return await asyncio.to_thread(self._read)

    def close(self) -> None:
        self._closed = True
        if self._file is not None:
            # A thread may be at it; what that has to say nobody wants to know any more.
            with contextlib.suppress(OSError):
                self._file.close()

    def _write(self, data: bytearray) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115 - until ``close``
        if self._closed:
            self._file.close()
            return
        self._file.write(data)
        self._file.flush()

    def _read(self) -> bytes:
        if self._file is None:
            return bytes(self._gathered)
        self._file.seek(0)
        return self._file.read() + self._gathered

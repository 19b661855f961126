"""A blob that comes piece by piece: a file of its own until it is whole."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from mvm_ci.domain.errors import BadInput, Unavailable
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.payload import BlobRef


class FileIncoming:
    """An ``Incoming``. ``take``: makes a file that is written and synced a blob."""

    def __init__(self, directory: Path, take: Callable[[Path, BlobRef], None]) -> None:
        """Takes the directory of its file. Blocks. Raises ``Unavailable``."""
        self._take = take
        self._hashing = sha256()
        self._size = 0
        try:
            descriptor, name = tempfile.mkstemp(dir=directory)
        except OSError as error:
            raise _unavailable(error) from error
        self._path = Path(name)
        self._file = os.fdopen(descriptor, "wb")

    async def write(self, data: bytes) -> None:
        await asyncio.to_thread(self._write, data)

    async def finish(self, digest: Digest) -> BlobRef:
        return await asyncio.to_thread(self._finish, digest)

    async def discard(self) -> None:
        await asyncio.to_thread(self._discard)

    def _write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise _unavailable(error) from error
        self._hashing.update(data)
        self._size += len(data)

    def _finish(self, digest: Digest) -> BlobRef:
        if self._hashing.hexdigest() != digest:
            self._discard()
            raise BadInput(f"these bytes do not have the digest {digest[:80]}")
        ref = BlobRef(digest, self._size)
        try:
            with self._file:
                self._file.flush()
                os.fsync(self._file.fileno())
            self._take(self._path, ref)
        except OSError as error:
            self._discard()
            raise _unavailable(error) from error
        return ref

    def _discard(self) -> None:
        # What cannot be written any more cannot be flushed either; and once it is taken it has another name.
        with contextlib.suppress(OSError):
            self._file.close()
        self._path.unlink(missing_ok=True)


def _unavailable(error: OSError) -> Unavailable:
    return Unavailable(f"a blob cannot be stored: {error.strerror}")

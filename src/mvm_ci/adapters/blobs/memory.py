"""Blobs in memory, for tests and trials."""

import asyncio
import shutil
import tempfile
import weakref
from hashlib import sha256
from pathlib import Path

from mvm_ci.domain.errors import NotFound
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.payload import BlobRef


class MemoryBlobStore:
    """A ``BlobStore``. ``path`` writes the bytes to a file that goes when the store does."""

    def __init__(self) -> None:
        self._blobs: dict[Digest, bytes] = {}
        self._files: Path | None = None

    async def put(self, data: bytes) -> BlobRef:
        ref = BlobRef(Digest(sha256(data).hexdigest()), len(data))
        self._blobs[ref.digest] = data
        return ref

    async def get(self, digest: Digest) -> bytes:
        if digest not in self._blobs:
            raise NotFound(f"there is no blob {digest}")
        return self._blobs[digest]

    async def has(self, digest: Digest) -> bool:
        return digest in self._blobs

    async def path(self, digest: Digest) -> Path:
        data = await self.get(digest)
        return await asyncio.to_thread(self._file, digest, data)

    def _file(self, digest: Digest, data: bytes) -> Path:
        if self._files is None:
            self._files = Path(tempfile.mkdtemp(prefix="mvm-ci-blobs-"))
            weakref.finalize(self, shutil.rmtree, self._files, ignore_errors=True)
        file = self._files / digest
        if not file.exists():
            file.write_bytes(data)
        return file

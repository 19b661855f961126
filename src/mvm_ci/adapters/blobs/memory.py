"""Blobs in memory, for tests and trials."""

import asyncio
import shutil
import tempfile
import weakref
from collections.abc import AsyncGenerator, Callable, Sequence
from hashlib import sha256
from pathlib import Path

from mvm_ci.adapters.blobs.removal import wall_ms
from mvm_ci.domain.errors import BadInput, NotFound
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.payload import BlobRef
from mvm_ci.ports.blob_store import StoredBlob

_PIECE = 256 << 10


class MemoryIncoming:
    """An ``Incoming``."""

    def __init__(self, store: "MemoryBlobStore") -> None:
        self._store = store
        self._data = bytearray()

    async def write(self, data: bytes) -> None:
        self._data += data

    async def finish(self, digest: Digest) -> BlobRef:
        if sha256(self._data).hexdigest() != digest:
            raise BadInput(f"these bytes do not have the digest {digest[:80]}")
        return await self._store.put(bytes(self._data))

    async def discard(self) -> None:
        self._data.clear()


class MemoryBlobStore:
    """A ``BlobStore``. ``path`` writes the bytes to a file that goes when the store does."""

    def __init__(self, now_ms: Callable[[], int] = wall_ms) -> None:
        self._now_ms = now_ms
        self._blobs: dict[Digest, bytes] = {}
        self._kept_ms: dict[Digest, int] = {}
        self._files: Path | None = None

    async def put(self, data: bytes) -> BlobRef:
        ref = BlobRef(Digest(sha256(data).hexdigest()), len(data))
        self._blobs[ref.digest] = data
        self._kept_ms[ref.digest] = self._now_ms()
        return ref

    async def get(self, digest: Digest) -> bytes:
        if digest not in self._blobs:
            raise NotFound(f"there is no blob {digest}")
        return self._blobs[digest]

    async def has(self, digest: Digest) -> bool:
        if digest in self._blobs:
            self._kept_ms[digest] = self._now_ms()
        return digest in self._blobs

    async def receive(self) -> MemoryIncoming:
        return MemoryIncoming(self)

    async def size(self, digest: Digest) -> int:
        return len(await self.get(digest))

    async def read(
        self, digest: Digest, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        data = await self.get(digest)
        for at in range(start, len(data) if end is None else min(end, len(data)), _PIECE):
            yield data[at : at + _PIECE][: None if end is None else end - at]

    async def stored(self, after: Digest | None, limit: int) -> list[StoredBlob]:
        digests = sorted(digest for digest in self._blobs if after is None or digest > after)[:limit]
        return [StoredBlob(one, len(self._blobs[one]), self._kept_ms[one]) for one in digests]

    async def remove(self, digests: Sequence[Digest], kept_before_ms: int) -> list[Digest]:
        old = [one for one in digests if self._kept_ms.get(one, kept_before_ms) < kept_before_ms]
        for digest in old:
            del self._blobs[digest], self._kept_ms[digest]
        return old

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

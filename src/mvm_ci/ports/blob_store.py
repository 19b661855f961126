"""Content-addressed bytes: modules, and payloads over 4 KiB."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from mvm_ci.domain.ids import Digest
from mvm_ci.domain.payload import BlobRef


class StoredBlob(msgspec.Struct, frozen=True, array_like=True):
    """A blob that is there. ``kept_ms``: when it was last put, or found by ``has`` (Unix ms)."""

    digest: Digest
    size: int
    kept_ms: int


class Incoming(Protocol):
    """Bytes on their way into the store, however many. ``finish`` or ``discard`` ends it; else what came is
    gone with the process.
    """

    async def write(self, data: bytes) -> None:
        """Takes the next bytes. Raises ``Unavailable`` (disk full, ...)."""
        ...

    async def finish(self, digest: Digest) -> BlobRef:
        """Stores all of them, durably on return. Raises ``BadInput``, and nothing is stored, if they do not
        have this digest; ``Unavailable``.
        """
        ...

    async def discard(self) -> None:
        """Forgets them; does nothing once they are stored."""
        ...


class BlobStore(Protocol):
    """Keeps bytes under their SHA-256. What was put stays until it is removed.

    Whoever makes something refer to a blob puts it, or asks ``has``, just before: from then on a removal
    leaves it alone for as long as it is told to.
    """

    async def put(self, data: bytes) -> BlobRef:
        """Stores bytes, durably on return. Raises ``Unavailable`` (disk full, ...)."""
        ...

    async def get(self, digest: Digest) -> bytes:
        """The bytes.

        Raises ``NotFound``; bytes that do not match their digest are ``NotFound``, too, and logged.
        """
        ...

    async def has(self, digest: Digest) -> bool:
        """Whether the bytes are there; if so, they count as put just now."""
        ...

    async def receive(self) -> Incoming:
        """Takes bytes piece by piece. Raises ``Unavailable``."""
        ...

    async def size(self, digest: Digest) -> int:
        """How many bytes it has. Raises ``NotFound``."""
        ...

    def read(self, digest: Digest, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes from ``start`` on and before ``end`` (None: the last one, too), piece by piece.

        Raises ``NotFound``; also when all of it was read and does not match its digest: before the last
        piece, so that nobody takes it for whole, and it is not found from then on.
        """
        ...

    async def path(self, digest: Digest) -> Path:
        """A file with the bytes, only to be read. Raises ``NotFound``."""
        ...

    async def stored(self, after: Digest | None, limit: int) -> list[StoredBlob]:
        """Up to ``limit`` blobs, by digest, after that one. Raises ``Unavailable``."""
        ...

    async def remove(self, digests: Sequence[Digest], kept_before_ms: int) -> list[Digest]:
        """Removes those that were last put before ``kept_before_ms``; returns which.

        Raises ``Unavailable``, and none is removed: a backup copies them.
        """
        ...

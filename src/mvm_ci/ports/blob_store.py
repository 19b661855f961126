"""Content-addressed bytes: modules, and payloads over 4 KiB."""

from pathlib import Path
from typing import Protocol

from mvm_ci.domain.ids import Digest
from mvm_ci.domain.payload import BlobRef


class BlobStore(Protocol):
    """Keeps bytes under their SHA-256. What was put stays; a repetition changes nothing."""

    async def put(self, data: bytes) -> BlobRef:
        """Stores bytes, durably on return. Raises ``Unavailable`` (disk full, ...)."""
        ...

    async def get(self, digest: Digest) -> bytes:
        """The bytes.

        Raises ``NotFound``; bytes that do not match their digest are ``NotFound``, too, and logged.
        """
        ...

    async def has(self, digest: Digest) -> bool:
        """Whether the bytes are there."""
        ...

    async def path(self, digest: Digest) -> Path:
        """A file with the bytes, only to be read. Raises ``NotFound``."""
        ...

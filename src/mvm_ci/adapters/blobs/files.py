"""Blobs as files, named after their digest in two levels of directories: ``ab/cd/abcd…``."""

import asyncio
import contextlib
import os
import re
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Final

import structlog

from mvm_ci.domain.errors import Misconfigured, NotFound, Unavailable
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.payload import BlobRef

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_log = structlog.get_logger(__name__)


class FileBlobStore:
    """A ``BlobStore`` under one directory, private to its owner and used by one process. Works in threads."""

    def __init__(self, directory: Path) -> None:
        """Takes a directory, which is made if it is missing. Blocks. Raises ``Misconfigured``."""
        self._directory = directory
        try:
            self._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory.chmod(0o700)
            # Left by a process that was killed while it wrote.
            for leftover in self._incoming.iterdir():
                leftover.unlink()
        except OSError as error:
            raise Misconfigured(f"the blob directory {directory} cannot be used: {error.strerror}") from error

    @property
    def _incoming(self) -> Path:
        return self._directory / "incoming"

    async def put(self, data: bytes) -> BlobRef:
        return await asyncio.to_thread(self._put, data)

    async def get(self, digest: Digest) -> bytes:
        return await asyncio.to_thread(self._get, digest)

    async def has(self, digest: Digest) -> bool:
        return await asyncio.to_thread(self._file(digest).is_file)

    async def path(self, digest: Digest) -> Path:
        if not await self.has(digest):
            raise NotFound(f"there is no blob {digest}")
        return self._file(digest)

    def _file(self, digest: Digest) -> Path:
        # A digest may come from outside: nothing else becomes part of a path.
        if not _DIGEST.fullmatch(digest):
            raise NotFound(f"{digest!r} is no digest of a blob")
        return self._directory / digest[:2] / digest[2:4] / digest

    def _put(self, data: bytes) -> BlobRef:
        ref = BlobRef(Digest(sha256(data).hexdigest()), len(data))
        file = self._file(ref.digest)
        try:
            if not self._intact(file, ref):
                self._write(file, data)
            # The names of the file and of directories that may be new are to last, too, even where they were
            # made just now by another call.
            for directory in (file.parent, file.parent.parent, self._directory):
                _sync_directory(directory)
        except OSError as error:
            raise Unavailable(f"the blob {ref.digest} cannot be stored: {error.strerror}") from error
        return ref

    @staticmethod
    def _intact(file: Path, ref: BlobRef) -> bool:
        """Whether the blob is there; a damaged one is to be written anew."""
        try:
            return file.stat().st_size == ref.size and sha256(file.read_bytes()).hexdigest() == ref.digest
        except FileNotFoundError:
            return False

    def _write(self, file: Path, data: bytes) -> None:
        descriptor, name = tempfile.mkstemp(dir=self._incoming)
        try:
            with os.fdopen(descriptor, "wb") as incoming:
                incoming.write(data)
                incoming.flush()
                os.fsync(incoming.fileno())
            # Not more than private, whatever the process's umask is.
            file.parent.parent.mkdir(mode=0o700, exist_ok=True)
            file.parent.mkdir(mode=0o700, exist_ok=True)
            Path(name).replace(file)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
            raise

    def _get(self, digest: Digest) -> bytes:
        try:
            data = self._file(digest).read_bytes()
        except FileNotFoundError as error:
            raise NotFound(f"there is no blob {digest}") from error
        except OSError as error:
            raise Unavailable(f"the blob {digest} cannot be read: {error.strerror}") from error
        if sha256(data).hexdigest() != digest:
            _log.error("blob_damaged", digest=digest, size=len(data))
            raise NotFound(f"the blob {digest} is damaged")
        return data


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Blobs as files, named after their digest in two levels of directories: ``ab/cd/abcd…``."""

import asyncio
import contextlib
import itertools
import os
import re
import tempfile
import threading
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

import structlog

from mvm_ci.adapters.blobs.removal import inventory, removal, wall_ms
from mvm_ci.domain.errors import Misconfigured, NotFound, Unavailable
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.payload import BlobRef
from mvm_ci.durable_files import sync_directory
from mvm_ci.ports.blob_store import StoredBlob

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_log = structlog.get_logger(__name__)


class FileBlobStore:
    """A ``BlobStore`` under one directory, private to its owner and used by one process. Works in threads."""

    def __init__(self, directory: Path, now_ms: Callable[[], int] = wall_ms) -> None:
        """Takes a directory, which is made if it is missing. Blocks. Raises ``Misconfigured``."""
        self._directory = directory
        self._now_ms = now_ms
        # A file's time says when its blob was last put: it must not change between a look and a removal.
        self._times = threading.Lock()
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
        return await asyncio.to_thread(self._has, self._file(digest))

    async def path(self, digest: Digest) -> Path:
        if not await asyncio.to_thread(self._file(digest).is_file):
            raise NotFound(f"there is no blob {digest}")
        return self._file(digest)

    async def stored(self, after: Digest | None, limit: int) -> list[StoredBlob]:
        return await asyncio.to_thread(self._stored, after or "", limit)

    async def remove(self, digests: Sequence[Digest], kept_before_ms: int) -> list[Digest]:
        return await asyncio.to_thread(self._remove, [self._file(one) for one in digests], kept_before_ms)

    def _file(self, digest: Digest) -> Path:
        # A digest may come from outside: nothing else becomes part of a path.
        if not _DIGEST.fullmatch(digest):
            raise NotFound(f"{digest!r} is no digest of a blob")
        return self._directory / digest[:2] / digest[2:4] / digest

    def _put(self, data: bytes) -> BlobRef:
        ref = BlobRef(Digest(sha256(data).hexdigest()), len(data))
        file = self._file(ref.digest)
        try:
            # First that it is kept: one that is removed just now is written anew.
            if not (self._keep(file) and self._intact(file, ref)):
                self._write(file, data)
            # The names of the file and of directories that may be new are to last, too, even where they were
            # made just now by another call.
            for directory in (file.parent, file.parent.parent, self._directory):
                sync_directory(directory)
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
            self._touch(Path(name))
            Path(name).replace(file)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
            raise

    def _has(self, file: Path) -> bool:
        try:
            return self._keep(file)
        except OSError as error:
            raise Unavailable(f"the blob {file.name} cannot be kept: {error.strerror}") from error

    def _keep(self, file: Path) -> bool:
        """Whether the blob is there; if so, no removal takes it that began before."""
        with self._times:
            try:
                self._touch(file)
            except FileNotFoundError:
                return False
            return True

    def _touch(self, file: Path) -> None:
        now_ns = self._now_ms() * 1_000_000
        os.utime(file, ns=(now_ns, now_ns))

    def _stored(self, after: str, limit: int) -> list[StoredBlob]:
        try:
            found = itertools.islice(inventory(self._directory, after), limit)
            stats = [(digest, file.stat()) for digest, file in found]
        except OSError as error:
            raise Unavailable(f"the blobs in {self._directory} cannot be listed: {error.strerror}") from error
        return [StoredBlob(digest, stat.st_size, stat.st_mtime_ns // 1_000_000) for digest, stat in stats]

    def _remove(self, files: Sequence[Path], kept_before_ms: int) -> list[Digest]:
        with removal(self._directory) as allowed:
            if not allowed:
                raise Unavailable("a backup copies the blobs; none is removed now")
            return [Digest(file.name) for file in files if self._remove_old(file, kept_before_ms)]

    def _remove_old(self, file: Path, kept_before_ms: int) -> bool:
        with self._times:
            try:
                old = file.stat().st_mtime_ns // 1_000_000 < kept_before_ms
                if old:
                    file.unlink()
                return old
            except FileNotFoundError:
                return False
            except OSError as error:
                raise Unavailable(f"the blob {file.name} cannot be removed: {error.strerror}") from error

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

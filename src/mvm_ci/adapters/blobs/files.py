"""Blobs as files, named after their digest in two levels of directories: ``ab/cd/abcd…``."""

import asyncio
import contextlib
import itertools
import os
import re
import tempfile
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from hashlib import file_digest, sha256
from pathlib import Path
from typing import IO, Final

import structlog

from mvm_ci.adapters.blobs.incoming import FileIncoming
from mvm_ci.adapters.blobs.removal import inventory, removal, wall_ms
from mvm_ci.domain.errors import Misconfigured, NotFound, Unavailable
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.payload import BlobRef
from mvm_ci.durable_files import sync_directory
from mvm_ci.ports.blob_store import StoredBlob

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_PIECE: Final = 1 << 20
_log = structlog.get_logger(__name__)


class FileBlobStore:
    """A ``BlobStore`` under one directory, private to its owner and used by one process. Works in threads."""

    def __init__(self, directory: Path, now_ms: Callable[[], int] = wall_ms) -> None:
        """Takes a directory, which is made if it is missing. Blocks. Raises ``Misconfigured``."""
        self._directory = directory
        self._now_ms = now_ms
        # A file's time says when its blob was last put: it must not change between a look and a removal.
        self._times = threading.Lock()
        self._damaged: set[str] = set()
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
        # What is damaged is to be put again.
        return digest not in self._damaged and await asyncio.to_thread(self._has, self._file(digest))

    async def receive(self) -> FileIncoming:
        return await asyncio.to_thread(FileIncoming, self._incoming, self._take)

    async def size(self, digest: Digest) -> int:
        return await asyncio.to_thread(self._size, digest)

    async def read(
        self, digest: Digest, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        opened, size = await asyncio.to_thread(self._open, digest, start)
        with opened:
            end = size if end is None else min(end, size)
            hashing = sha256()
            whole = start == 0 and end == size
            while True:
                piece = await asyncio.to_thread(_piece, opened, min(end - start, _PIECE), hashing.update)
                start += len(piece)
                if not piece or start >= end:
                    # Cut short since it was opened, or not what it was: nobody gets all of it.
                    if start < end or (whole and hashing.hexdigest() != digest):
                        raise self._damage(digest, size)
                    if piece:
                        yield piece
                    return
                yield piece

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
            self._sync_names(file)
        except OSError as error:
            raise Unavailable(f"the blob {ref.digest} cannot be stored: {error.strerror}") from error
        self._damaged.discard(ref.digest)
        return ref

    def _sync_names(self, file: Path) -> None:
        # The names of the file and of directories that may be new are to last, too, even where they were made
        # just now by another call.
        for directory in (file.parent, file.parent.parent, self._directory):
            sync_directory(directory)

    @staticmethod
    def _intact(file: Path, ref: BlobRef) -> bool:
        """Whether the blob is there; a damaged one is to be written anew."""
        try:
            with file.open("rb") as opened:
                size = os.fstat(opened.fileno()).st_size
                return size == ref.size and file_digest(opened, "sha256").hexdigest() == ref.digest
        except FileNotFoundError:
            return False

    def _write(self, file: Path, data: bytes) -> None:
        descriptor, name = tempfile.mkstemp(dir=self._incoming)
        try:
            with os.fdopen(descriptor, "wb") as incoming:
                incoming.write(data)
                incoming.flush()
                os.fsync(incoming.fileno())
            self._make_place(file)
            self._touch(Path(name))
            Path(name).replace(file)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
            raise

    @staticmethod
    def _make_place(file: Path) -> None:
        # Not more than private, whatever the process's umask is.
        file.parent.parent.mkdir(mode=0o700, exist_ok=True)
        file.parent.mkdir(mode=0o700, exist_ok=True)

    def _take(self, written: Path, ref: BlobRef) -> None:
        """Makes a file that is written and synced the blob."""
        file = self._file(ref.digest)
        self._make_place(file)
        # What is there and about to be removed would take the new one along.
        self._keep(file)
        self._touch(written)
        written.replace(file)
        self._sync_names(file)
        self._damaged.discard(ref.digest)

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
        file = self._file(digest)
        if digest in self._damaged:
            raise NotFound(f"the blob {digest} is damaged")
        try:
            data = file.read_bytes()
        except FileNotFoundError as error:
            raise NotFound(f"there is no blob {digest}") from error
        except OSError as error:
            raise Unavailable(f"the blob {digest} cannot be read: {error.strerror}") from error
        if sha256(data).hexdigest() != digest:
            raise self._damage(digest, len(data))
        return data

    def _size(self, digest: Digest) -> int:
        opened, size = self._open(digest, 0)
        opened.close()
        return size

    def _open(self, digest: Digest, start: int) -> tuple[IO[bytes], int]:
        """A file at ``start``, and its size."""
        file = self._file(digest)
        if digest in self._damaged:
            raise NotFound(f"the blob {digest} is damaged")
        try:
            opened = file.open("rb")
            opened.seek(start)
            return opened, os.fstat(opened.fileno()).st_size
        except FileNotFoundError as error:
            raise NotFound(f"there is no blob {digest}") from error
        except OSError as error:
            raise Unavailable(f"the blob {digest} cannot be read: {error.strerror}") from error

    def _damage(self, digest: Digest, size: int) -> NotFound:
        """Bytes that are not what they were: remembered until they are put again."""
        self._damaged.add(digest)
        _log.error("blob_damaged", digest=digest, size=size)
        return NotFound(f"the blob {digest} is damaged")


def _piece(opened: IO[bytes], size: int, hashing: Callable[[bytes], None]) -> bytes:
    try:
        data = opened.read(size)
    except OSError as error:
        raise Unavailable(f"the blob {opened.name} cannot be read: {error.strerror}") from error
    hashing(data)
    return data

"""Content-addressed files on the worker's disk, up to a size: the ones used longest ago go first."""

import contextlib
import hashlib
import os
from collections import OrderedDict
from pathlib import Path

from mvm_ci.domain.errors import Unavailable

_SUFFIX = ".new"


class BlobCache:
    """Bytes by their SHA-256. Blocking calls: use it off the event loop, from one thread at a time.

    Files that are ``pin``ned stay, even over the limit; ``pin`` and ``unpin`` may be called from any one
    thread.
    """

    def __init__(self, directory: Path, limit: int) -> None:
        """``limit``: bytes. Raises ``Unavailable`` if ``directory`` cannot be read."""
        self._directory = directory
        self._limit = limit
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._pins: dict[str, int] = {}
        self._checked: set[str] = set()
        self._total = 0
        try:
            found = sorted(self._scan(), key=lambda entry: entry[1])
        except OSError as error:
            raise Unavailable(f"the cache {directory} cannot be read: {error.strerror}") from error
        for name, _, size in found:
            self._sizes[name] = size
            self._total += size

    def _scan(self) -> list[tuple[str, float, int]]:
        found = []
        for entry in os.scandir(self._directory):
            if entry.name.endswith(_SUFFIX):
                Path(entry.path).unlink()  # a crash in the middle of a write
            else:
                status = entry.stat()
                found.append((entry.name, status.st_mtime, status.st_size))
        return found

    def get(self, digest: str) -> bytes | None:
        """The bytes; None if they are not here, or not what they were."""
        if digest not in self._sizes:
            return None
        try:
            data = (self._directory / digest).read_bytes()
        except OSError:
            data = b""
        if hashlib.sha256(data).hexdigest() != digest:
            self._remove(digest)
            return None
        self._use(digest)
        return data

    def path(self, digest: str) -> Path | None:
        """A file with the bytes, verified; None if they are not here."""
        return None if self.get(digest) is None else self._directory / digest

    def file(self, digest: str) -> Path | None:
        """The same without its bytes in memory, which this process verifies only once."""
        if digest not in self._sizes:
            return None
        path = self._directory / digest
        with contextlib.suppress(OSError):
            if digest in self._checked or _digest(path) == digest:
                self._checked.add(digest)
                self._use(digest)
                return path
        self._remove(digest)
        return None

    def doubt(self, digest: str) -> None:
        """The file may not be what it was: it is verified before it is used again."""
        self._checked.discard(digest)

    def adopt(self, digest: str, draft: Path) -> Path:
        """Keeps a file on the same disk whose digest the caller has verified; ``draft`` is gone then.

        Raises ``Unavailable``.
        """
        target = self._directory / digest
        try:
            size = draft.stat().st_size
            draft.replace(target)
        except OSError as error:
            raise Unavailable(f"the cache {self._directory} cannot be written: {error.strerror}") from error
        self._total += size - self._sizes.pop(digest, 0)
        self._sizes[digest] = size
        self._checked.add(digest)
        self._shrink()
        return target

    def drop_oldest(self) -> bool:
        """Drops the file that was used longest ago and is not pinned; False: there is none."""
        for digest in self._sizes:
            if digest not in self._pins:
                self._remove(digest)
                return True
        return False

    def put(self, digest: str, data: bytes) -> None:
        """Keeps bytes whose digest the caller has verified. Raises ``Unavailable`` (disk full, ...)."""
        target = self._directory / digest
        if digest in self._sizes:
            if target.exists():
                self._use(digest)
                return
            self._remove(digest)  # somebody emptied the directory
        new = target.with_name(digest + _SUFFIX)
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            # Not synced: what a power cut damages does not match its digest and is fetched again.
            new.write_bytes(data)
            new.replace(target)
        except OSError as error:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise Unavailable(f"the cache {self._directory} cannot be written: {error.strerror}") from error
        self._sizes[digest] = len(data)
        self._total += len(data)
        self._shrink()

    def pin(self, digest: str) -> None:
        """Keeps the file until ``unpin``, as often as it was pinned."""
        self._pins[digest] = self._pins.get(digest, 0) + 1

    def unpin(self, digest: str) -> None:
        """Ends one ``pin``."""
        left = self._pins.pop(digest, 1) - 1
        if left:
            self._pins[digest] = left

    def _use(self, digest: str) -> None:
        self._sizes.move_to_end(digest)
        os.utime(self._directory / digest)

    def _shrink(self) -> None:
        newest = next(reversed(self._sizes))
        for digest in list(self._sizes):
            if self._total <= self._limit:
                return
            if digest not in self._pins and digest != newest:
                self._remove(digest)

    def _remove(self, digest: str) -> None:
        (self._directory / digest).unlink(missing_ok=True)
        self._total -= self._sizes.pop(digest, 0)
        self._checked.discard(digest)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

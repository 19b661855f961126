"""Artifacts on the worker's disk: what guests write, and what they read."""

import asyncio
import hashlib
import os
import shutil
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import structlog

from mvm_ci.domain.artifact import MAX_ARTIFACT
from mvm_ci.domain.errors import NotFound, ProtocolError, Unavailable
from mvm_ci.domain.ids import Digest, is_digest
from mvm_ci.domain.job import Placed
from mvm_ci.domain.payload import BlobRef
from mvm_ci.peer.artifact_transfer import PIECE, fetch_file, offer_file
from mvm_ci.peer.cache import BlobCache
from mvm_ci.peer.transfer import Answered
from mvm_ci.peer.transfers import Transfers
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.engine import NotKept
from mvm_ci.ports.transport import Connection
from mvm_ci.wire.blobs import PutArtifact

AT_ONCE: Final = 2
"""Artifacts that come or go at once; more wait."""
KEEP_FREE: Final = 256 << 20
"""Bytes that artifacts leave free on the disk."""
_PAUSE_MS: Final = 1_000
_THREADS: Final = 4

log = structlog.get_logger()
Result = TypeVar("Result")


class _Get:
    """An artifact that is being fetched, and for how many."""

    __slots__ = ("task", "waiting")

    def __init__(self, task: asyncio.Task[None]) -> None:
        self.task = task
        self.waiting = 0


class WorkerArtifacts:
    """``ports.engine.ArtifactFiles`` of a worker. ``free``: of the disk, in bytes."""

    def __init__(
        self,
        directory: Path,
        cache: BlobCache,
        clock: Clock,
        connection: Callable[[], Awaitable[Connection]],
        free: Callable[[], int] | None = None,
    ) -> None:
        """``cache``: of that directory; drafts are beside its files."""
        self._directory = directory
        self._cache = cache
        self._clock = clock
        self._free = free or (lambda: shutil.disk_usage(directory).free)
        self._transfers = Transfers(clock, connection, AT_ONCE)
        self._one_by_one = ThreadPoolExecutor(1, thread_name_prefix="artifact-cache")
        self._disk = ThreadPoolExecutor(_THREADS, thread_name_prefix="artifacts")
        self._gets: dict[Digest, _Get] = {}
        self._drafts = 0

    def spool(self) -> "FileSpool":
        return FileSpool(self)

    async def hold(self, ref: BlobRef) -> Path:
        if not is_digest(ref.digest):
            raise NotFound(f"not a digest: {ref.digest[:70]!r}")
        self._cache.pin(ref.digest)
        try:
            return await self._near(ref)
        except BaseException:
            self._cache.unpin(ref.digest)
            raise

    def release(self, ref: BlobRef) -> None:
        self._cache.unpin(ref.digest)

    async def read(self, ref: BlobRef, offset: int, size: int) -> bytes:
        data = await self.on_disk(partial(_read, self._directory / ref.digest, offset, size))
        if len(data) < min(size, ref.size - offset):
            await self._in_cache(partial(self._cache.doubt, ref.digest))
            raise Unavailable(f"the artifact {ref.digest} is not what it was")
        return data

    async def close(self) -> None:
        """Ends the transfers that nobody waits for any more."""
        tasks = [get.task for get in self._gets.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for threads in (self._one_by_one, self._disk):
            threads.shutdown(wait=False, cancel_futures=True)

    # ------------------------------------------------------------ for spools
    def draft(self) -> Path:
        """A file that is not there yet."""
        self._drafts += 1
        return self._directory / f"{self._drafts}.new"

    async def on_disk(self, work: Callable[[], Result]) -> Result:
        """Does what may block."""
        return await asyncio.get_running_loop().run_in_executor(self._disk, work)

    async def has_room(self) -> bool:
        """Whether more may be written; drops what is only cached for that."""
        while await self.on_disk(self._free) < KEEP_FREE:
            if not await self._in_cache(self._cache.drop_oldest):
                return False
        return True

    async def upload(self, placed: Placed, ref: BlobRef, draft: Path) -> None:
        """Brings a file to the control plane, and into the cache. Raises ``NotKept``."""
        request = PutArtifact(placed, ref.digest, ref.size)

        async def attempt(connection: Connection) -> None:
            await offer_file(connection, request, self._clock, lambda: self._pieces(draft))

        while True:
            try:
                await self._transfers.run(attempt)
                break
            except Answered as error:
                raise NotKept(error.reason, error.message) from error
            except Unavailable as error:
                log.warning("artifact_not_uploaded", digest=ref.digest, error=str(error))
            await self._clock.sleep(_PAUSE_MS)
        with suppress(Unavailable):  # the control plane has it
            await self._in_cache(partial(self._cache.adopt, ref.digest, draft))

    def later(self, work: Callable[[], None]) -> None:
        """Does what may block, some time; not if this ends before."""

        def attempt() -> None:
            try:
                work()
            except OSError as error:
                log.warning("artifact_not_cleaned_up", error=str(error))

        with suppress(RuntimeError):
            self._disk.submit(attempt)

    # ------------------------------------------------------------
    async def _near(self, ref: BlobRef) -> Path:
        path = await self._in_cache(partial(self._cache.file, ref.digest))
        if path is None:
            await self._got(ref)
            path = await self._in_cache(partial(self._cache.file, ref.digest))
        if path is None:
            raise Unavailable(f"the artifact {ref.digest} could not be kept on the disk")
        return path

    async def _got(self, ref: BlobRef) -> None:
        get = self._gets.get(ref.digest)
        if get is None:
            get = self._gets[ref.digest] = _Get(asyncio.create_task(self._get(ref), name="get-artifact"))
            get.task.add_done_callback(partial(self._forget, ref.digest, get))
        get.waiting += 1
        try:
            # Who asked first may be gone; the others still want it.
            await asyncio.shield(get.task)
        finally:
            get.waiting -= 1
            if not get.waiting and not get.task.done():
                self._drop(ref.digest, get)
                get.task.cancel()

    def _drop(self, digest: Digest, get: "_Get") -> None:
        if self._gets.get(digest) is get:
            del self._gets[digest]

    def _forget(self, digest: Digest, get: "_Get", done: asyncio.Task[None]) -> None:
        self._drop(digest, get)
        if not done.cancelled() and done.exception() is not None:
            log.info("artifact_not_fetched", digest=digest, error=str(done.exception()))

    async def _get(self, ref: BlobRef) -> None:
        draft = self.draft()
        try:
            await self._transfers.run(partial(self._fetch, ref, draft))
            await self._in_cache(partial(self._cache.adopt, ref.digest, draft))
        except Answered as error:
            raise NotFound(str(error)) from error
        finally:
            self.later(partial(draft.unlink, missing_ok=True))

    async def _fetch(self, ref: BlobRef, draft: Path, connection: Connection) -> None:
        hashing = hashlib.sha256()

        async def take(piece: bytes) -> None:
            if not await self.has_room():
                raise Unavailable("the worker's disk is full")
            hashing.update(piece)
            await self.on_disk(partial(_append, draft, piece))

        await self.on_disk(partial(_begin, draft))
        await fetch_file(connection, ref, self._clock, take)
        if hashing.hexdigest() != ref.digest:
            raise ProtocolError(f"an artifact's bytes do not have the digest {ref.digest}")

    async def _pieces(self, draft: Path) -> AsyncGenerator[bytes]:
        offset = 0
        while piece := await self.on_disk(partial(_read, draft, offset, PIECE)):
            yield piece
            offset += len(piece)

    async def _in_cache(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._one_by_one, work)


class FileSpool:
    """``ports.engine.Spool``."""

    __slots__ = ("_draft", "_files", "_gone", "_hashing", "_lock", "_reason", "_size")

    def __init__(self, files: WorkerArtifacts) -> None:
        self._files = files
        self._draft: Path | None = None
        self._hashing = hashlib.sha256()
        self._size = 0
        self._reason: tuple[str, str] | None = None
        self._lock = threading.Lock()
        self._gone = False

    async def write(self, data: bytes) -> None:
        self._check()
        if self._size + len(data) > MAX_ARTIFACT:
            self._fail("too-large", f"an artifact has at most {MAX_ARTIFACT} bytes")
        if not await self._files.has_room():
            self._fail("disk-full", "the worker's disk is full")
        if self._draft is None:
            self._draft = self._files.draft()
        try:
            await self._files.on_disk(partial(self._write, self._draft, data))
        except OSError as error:
            self._fail("disk-full", f"the worker cannot write the artifact: {error.strerror}")
        self._size += len(data)

    async def upload(self, placed: Placed) -> BlobRef:
        await self.write(b"")
        draft = self._draft
        if draft is None:
            raise NotKept("internal", "an artifact without a file")
        ref = BlobRef(Digest(self._hashing.hexdigest()), self._size)
        await self._files.upload(placed, ref, draft)
        return ref

    def discard(self) -> None:
        if self._draft is not None:
            self._files.later(partial(self._drop, self._draft))

    def _write(self, draft: Path, data: bytes) -> None:
        with self._lock:
            if not self._gone:
                _append(draft, data)
                self._hashing.update(data)

    def _drop(self, draft: Path) -> None:
        with self._lock:
            self._gone = True
            draft.unlink(missing_ok=True)

    def _fail(self, kind: str, message: str) -> None:
        self._reason = kind, message
        self._check()

    def _check(self) -> None:
        if self._reason is not None:
            raise NotKept(*self._reason)


def _begin(path: Path) -> None:
    path.write_bytes(b"")


def _append(path: Path, data: bytes) -> None:
    # Opened for each piece: guests may have thousands of them at once.
    with path.open("ab", buffering=0) as file:
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]


def _read(path: Path, offset: int, size: int) -> bytes:
    try:
        with path.open("rb", buffering=0) as file:
            return os.pread(file.fileno(), size, offset)
    except OSError as error:
        raise Unavailable(f"the artifact {path.name} cannot be read: {error.strerror}") from error

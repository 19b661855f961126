"""Blob transfers and large journals: what a worker asks for on a stream of its own. See
``mvm_ci.wire.blobs``.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import Final, TypeVar

import msgspec
import structlog

from mvm_ci.domain.errors import MvmCiError, NotFound, ProtocolError, Unavailable
from mvm_ci.domain.ids import Digest, is_digest
from mvm_ci.domain.job import PLACED
from mvm_ci.journal.damage import mend
from mvm_ci.lifecycle.artifacts import Artifacts
from mvm_ci.lifecycle.assignments import read_journal
from mvm_ci.lifecycle.placements import Placements
from mvm_ci.ports.blob_store import BlobStore
from mvm_ci.ports.job_queue import JobQueue
from mvm_ci.ports.transport import Stream
from mvm_ci.wire import blobs as w
from mvm_ci.wire.frames import FrameReader, encode

log = structlog.get_logger(__name__)

AT_ONCE: Final = 32
"""Transfers of all workers together: what they hold in memory is at most so many blobs."""
LARGE_AT_ONCE: Final = 16
"""Artifacts of all workers together, which are not in memory but may take long."""
IDLE_S: Final = 30.0
"""A transfer in which nothing moves for so long is given up."""
_CHUNK: Final = 256 << 10

T = TypeVar("T")


class Transfers:
    """Serves transfers for workers whose session stands."""

    def __init__(self, queue: JobQueue, blobs: BlobStore, artifacts: Artifacts) -> None:
        self._queue = queue
        self._blobs = blobs
        self._artifacts = artifacts
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)

    async def serve(self, stream: Stream, placements: Placements) -> None:
        """Answers one stream of a session that has ``placements``.

        Raises ``ProtocolError`` and ``Unavailable`` (the connection is gone, or too slow).
        """
        request, rest = await _first(stream, w.request_reader())
        try:
            if isinstance(request, w.PutArtifact):
                async with self._large:
                    await self._put_artifact(stream, request, rest, placements)
            elif isinstance(request, w.GetBlob) and await self._is_large(request.digest):
                async with self._large:
                    await self._get_large(stream, request.digest)
            else:
                async with self._slots:
                    await self._serve(stream, request, rest, placements)
        except ProtocolError:
            raise
        except MvmCiError as error:
            log.warning("transfer_failed", request=type(request).__name__, error=str(error))
            await _say(stream, w.TransferFailed(error.code, str(error)))
        await _timely(stream.finish())

    async def _serve(
        self, stream: Stream, request: w.BlobRequest, rest: bytes, placements: Placements
    ) -> None:
        match request:
            case w.GetBlob(digest=digest):
                await self._get(stream, digest)
            case w.PutBlob():
                await self._put(stream, request, rest)
            case w.GetJournal():
                await self._journal(stream, request, placements)

    async def _is_large(self, digest: Digest) -> bool:
        """Whether it is too large to be in memory."""
        if not is_digest(digest):
            raise ProtocolError("a blob's digest must be 64 lower-case hex digits")
        try:
            return await self._blobs.size(digest) > w.MAX_BLOB
        except NotFound:
            return False

    async def _get(self, stream: Stream, digest: Digest) -> None:
        try:
            data = await self._blobs.get(digest)
        except NotFound:
            await _say(stream, w.Missing())
        else:
            await _send(stream, data, w.MAX_BLOB)

    async def _get_large(self, stream: Stream, digest: Digest) -> None:
        """A damaged one stops short of its end; the next try hears that it is missing."""
        try:
            await _say(stream, w.Follows(await self._blobs.size(digest)))
            async with aclosing(self._blobs.read(digest)) as pieces:
                async for piece in pieces:
                    for at in range(0, len(piece), _CHUNK):
                        await _timely(stream.write(piece[at : at + _CHUNK]))
        except NotFound as error:
            log.warning("transfer_failed", request="GetBlob", error=str(error))

    async def _put(self, stream: Stream, request: w.PutBlob, rest: bytes) -> None:
        receiving = w.Receiving(request.size, request.digest)
        if await self._blobs.has(request.digest):
            await _say(stream, w.Stored())
            return
        await _say(stream, w.Wanted())
        if rest:
            receiving.feed(rest)
        while receiving.missing:
            data = await _timely(stream.read())
            if not data:
                break
            receiving.feed(data)
        data = await asyncio.to_thread(receiving.result)
        await self._blobs.put(data)
        await _say(stream, w.Stored())

    async def _put_artifact(
        self, stream: Stream, request: w.PutArtifact, rest: bytes, placements: Placements
    ) -> None:
        if not is_digest(request.digest):
            raise ProtocolError("a blob's digest must be 64 lower-case hex digits")
        if request.placed not in placements:
            await _say(stream, w.Missing())
            return
        await self._artifacts.announced_of(request.placed.job, request.digest, request.size)
        if await self._blobs.has(request.digest):
            await _say(stream, w.Stored())
            return
        await _say(stream, w.Wanted())
        async with aclosing(_announced(stream, rest, request.size)) as pieces:
            await self._artifacts.store(request.digest, request.size, pieces)
        await _say(stream, w.Stored())

    async def _journal(self, stream: Stream, request: w.GetJournal, placements: Placements) -> None:
        placed = request.placed
        if placed not in placements:
            await _say(stream, w.Missing())
            return
        (job,) = await self._queue.get([placed.job])
        if job is None or job.epoch != placed.epoch or job.state not in PLACED:
            await _say(stream, w.Missing())
            return
        segments = await read_journal(self._queue, job.id, job.attempt, job.journal_length)
        whole = mend(segments, job.journal_length).segments
        await _send(stream, await asyncio.to_thread(w.encode_journal, whole), w.MAX_JOURNAL)


async def _first(stream: Stream, reader: FrameReader[w.BlobRequest]) -> tuple[w.BlobRequest, bytes]:
    while True:
        data = await _timely(stream.read())
        if not data:
            raise ProtocolError("a stream that ended before its request")
        found = reader.feed_one(data)
        if found is not None:
            return found


async def _announced(stream: Stream, rest: bytes, size: int) -> AsyncGenerator[bytes, None]:
    """The ``size`` bytes that were announced. Raises ``ProtocolError`` for more, and ``Unavailable`` if they
    end before: whoever put the artifact was stopped.
    """
    piece = rest
    while size > 0 or piece:
        if not piece:
            piece = await _timely(stream.read())
            if not piece:
                raise Unavailable(f"an artifact ended {size} bytes too early")
        size -= len(piece)
        if size < 0:
            raise ProtocolError("more than the announced bytes of a transfer")
        yield piece
        piece = b""


async def _say(stream: Stream, answer: msgspec.Struct) -> None:
    await _timely(stream.write(encode(answer)))


async def _send(stream: Stream, data: bytes, limit: int) -> None:
    if len(data) > limit:
        await _say(stream, w.TransferFailed("too-large", f"{len(data)} bytes; at most {limit} can be sent"))
        return
    await _say(stream, w.Follows(len(data)))
    view = memoryview(data)
    for at in range(0, len(data), _CHUNK):
        await _timely(stream.write(bytes(view[at : at + _CHUNK])))


async def _timely(waiting: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(IDLE_S):
            return await waiting
    except TimeoutError:
        raise Unavailable(f"nothing moved for {IDLE_S:g} s") from None

"""Recordings: jobs, their modules and payloads on their way out, to be replayed elsewhere."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from mvm_ci.domain.errors import NotFound
from mvm_ci.domain.ids import Digest, format_job_id, is_digest
from mvm_ci.domain.job import Job
from mvm_ci.domain.payload import BlobRef
from mvm_ci.journal.refers import blobs_in
from mvm_ci.ports.blob_store import BlobStore
from mvm_ci.ports.job_queue import JobQueue
from mvm_ci.wire.frames import encode
from mvm_ci.wire.recording import RecordedEnd, RecordedJob, RecordedSegment

AT_ONCE: Final = 8
"""Callers that are served together: each holds at most a piece of a payload, or a page of a journal."""
PAGE: Final = 16
"""Segments of one read: at most 4 MiB."""


class Recordings:
    """What leaves is held to be the job's: its module, and payloads that it refers to."""

    def __init__(self, queue: JobQueue, blobs: BlobStore) -> None:
        self._queue = queue
        self._blobs = blobs
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def frames(self, job: Job, attempt: int) -> AsyncGenerator[bytes, None]:
        """The recording of an attempt, as of now. Raises ``Unavailable``."""
        length = job.journal_length if attempt == job.attempt else None
        spec = job.spec
        async with self._slots:
            yield encode(
                RecordedJob(
                    job.id,
                    attempt,
                    spec.module,
                    spec.input,
                    spec.memory_bytes,
                    spec.timeout_ms,
                    length,
                    spec.inputs,
                )
            )
            at = 0
            # What is appended meanwhile is not of this recording.
            while length is None or at < length:
                segments = await self._queue.journal(job.id, attempt, at, PAGE)
                if not segments:
                    break
                yield b"".join(
                    encode(RecordedSegment(segment))
                    for segment in segments
                    if length is None or segment.first < length
                )
                at = segments[-1].first + segments[-1].count
            yield encode(RecordedEnd())

    async def module(self, job: Job) -> AsyncGenerator[bytes, None]:
        """The bytes of the job's module, in pieces. Raises ``NotFound``, ``Unavailable``."""
        return await self._pieces(job.spec.module, f"the module of job {format_job_id(job.id)}")

    async def payload(self, job: Job, attempt: int, digest: str, first: int) -> AsyncGenerator[bytes, None]:
        """The bytes of a payload, in pieces: the job's input or result, or what the segment refers to that
        holds entry ``first``.

        Raises ``NotFound``, also for a payload that is there but not this job's, and ``Unavailable``.
        """
        what = f"payload {digest[:80]!r} in job {format_job_id(job.id)}"
        if not is_digest(digest):
            raise NotFound(f"there is no {what}")
        wanted = Digest(digest)
        own = {payload.digest for payload in (job.spec.input, job.result) if isinstance(payload, BlobRef)}
        if wanted not in own:
            segments = await self._queue.journal(job.id, attempt, first, 1)
            # A digest in a guest's text is no permission to read.
            if not any(wanted in blobs_in(segment.data) for segment in segments):
                raise NotFound(f"there is no {what}, entry {first}")
        return await self._pieces(wanted, what)

    async def _pieces(self, digest: Digest, what: str) -> AsyncGenerator[bytes, None]:
        if not await self._blobs.has(digest):
            raise NotFound(f"{what} is not stored any more")
        return self._read(digest)

    async def _read(self, digest: Digest) -> AsyncGenerator[bytes, None]:
        async with self._slots, aclosing(self._blobs.read(digest)) as pieces:
            async for piece in pieces:
                yield piece

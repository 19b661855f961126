"""The route of journals: entries as a stream, to the present end or as they come."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

import msgspec

from mvm_ci.control_plane.api.jobs import find, job_id_of
from mvm_ci.control_plane.api.logs import QUIET_S, asked_range
from mvm_ci.control_plane.api.requests import Request
from mvm_ci.control_plane.api.routes import Stream
from mvm_ci.control_plane.api.services import Services
from mvm_ci.domain.errors import NotFound
from mvm_ci.domain.ids import JobId, format_job_id
from mvm_ci.domain.job import AT_REST, Job
from mvm_ci.lifecycle.journal_view import JournalReader, journal_length
from mvm_ci.wire.api import DAMAGE, JournalEntry, LogRange

_encode_lines: Final = msgspec.json.Encoder().encode_lines


async def journal(services: Services, request: Request) -> Stream:
    """Entries of one attempt, or of all from it on as they come."""
    follows: bool = request.query.get("follow", False)
    asked = asked_range(request.query, follows=follows)
    job = await find(services, request, job_id_of(request))
    attempt = attempt_of(job, asked.attempt)
    if asked.tail is not None:
        length = job.journal_length
        if attempt < job.attempt:
            length = await journal_length(services.queue, job.id, attempt)
        asked = msgspec.structs.replace(asked, first=max(0, length - asked.tail))
    if follows:
        return Stream(_follow(services, job.id, attempt, asked.first or 0))
    return Stream(_until_now(services, job.id, attempt, asked))


def attempt_of(job: Job, asked: int | None) -> int:
    """The attempt that was asked for, or the present one. Raises ``NotFound``."""
    if asked is not None and asked > job.attempt:
        raise NotFound(
            f"job {format_job_id(job.id)} has had {job.attempt} attempts; there is no attempt {asked}"
        )
    return asked or job.attempt


async def _until_now(
    services: Services, job: JobId, attempt: int, asked: LogRange
) -> AsyncGenerator[bytes, None]:
    left = asked.limit
    async for part in JournalReader(services.queue, job, attempt).read():
        shown = _within(part, asked.first or 0, asked.to)[:left]
        if shown:
            yield _encode_lines(shown)
        await asyncio.sleep(0)
        if left is not None:
            left -= len(shown)
            if not left:
                return
        if asked.to is not None and part[-1].index + 1 >= asked.to:
            return


async def _follow(services: Services, job_id: JobId, attempt: int, first: int) -> AsyncGenerator[bytes, None]:
    """Ends when the job has ended, or is paused, and all was sent; and with damage."""
    reader = JournalReader(services.queue, job_id, attempt)
    with services.waiters.watch(job_id) as watch:
        while True:
            # Before looking: what changes after this is a new change.
            watch.changed.clear()
            (job,) = await services.queue.get([job_id])
            if job is None:
                return
            while True:
                async for part in reader.read():
                    shown = _within(part, first, None)
                    if shown:
                        yield _encode_lines(shown)
                    await asyncio.sleep(0)
                    if part[-1].kind == DAMAGE:
                        return
                if attempt >= job.attempt:
                    break
                attempt, first = attempt + 1, 0
                reader = JournalReader(services.queue, job_id, attempt)
            if job.state in AT_REST or services.waiters.closed:
                return
            try:
                async with asyncio.timeout(QUIET_S):
                    await watch.changed.wait()
            except TimeoutError:
                yield b"\n"


def _within(part: list[JournalEntry], first: int, to: int | None) -> list[JournalEntry]:
    return [
        entry
        for entry in part
        if entry.kind == DAMAGE or (first <= entry.index and (to is None or entry.index < to))
    ]

"""A job's output as a stream of lines."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, Final

import msgspec

from mvm_ci.control_plane.api.services import Services
from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import AT_REST, Job
from mvm_ci.lifecycle.journal_view import journal_length, log_lines, newest_lines
from mvm_ci.wire.api import LogLine, LogRange

QUIET_S: Final = 15.0
"""After so long without output an empty line is sent: a reader can tell silence from a lost connection."""
_encode_lines = msgspec.json.Encoder().encode_lines
"""Nothing more comes by itself."""
Position = tuple[int, int]
"""(attempt, index of the next entry)."""


def asked_range(query: Mapping[str, Any], *, follows: bool) -> LogRange:
    """What the query's parameters ask for. Raises ``BadInput`` for those that contradict each other."""
    asked = LogRange(
        attempt=query.get("attempt"),
        first=query.get("from"),
        to=query.get("to"),
        limit=query.get("limit"),
        tail=query.get("tail"),
    )
    bounds = [name for name in ("from", "to", "limit") if name in query]
    if asked.tail is not None and bounds:
        raise BadInput(f"tail with {bounds[0]}: the newest lines have no other bounds; leave one out")
    ends = [name for name in ("to", "limit") if name in query]
    if follows and ends:
        raise BadInput(f"follow with {ends[0]}: what is followed ends with the job; leave one out")
    if asked.to is not None and asked.to < (asked.first or 0):
        raise BadInput(f"to: {asked.to} is before from, {asked.first}")
    return asked


async def first_position(services: Services, job: Job, asked: LogRange) -> Position:
    """Where to begin, so that ``tail`` is as many lines as there are at present."""
    attempt = asked.attempt or 1
    if asked.tail is None or attempt > job.attempt:
        return attempt, asked.first or 0
    # Of no line at all: behind what is there now.
    start, missing = (job.attempt, job.journal_length), asked.tail
    for at in range(job.attempt, attempt - 1, -1):
        length = job.journal_length
        if at < job.attempt:
            length = await journal_length(services.queue, job.id, at)
        found = await newest_lines(services.queue, job.id, at, length, missing)
        missing -= len(found)
        if found:
            start = (at, found[0])
        if not missing:
            break
    return start


async def until_now(
    services: Services, job: Job, start: Position, asked: LogRange
) -> AsyncGenerator[bytes, None]:
    """The durable log lines from ``start`` on, of all attempts or up to ``to`` of the first one."""
    left = asked.limit or asked.tail
    async for _, lines in _from(services, job, start, asked.to):
        shown = lines[:left]
        if shown:
            yield _encode_lines(shown)
        if left is not None:
            left -= len(shown)
            if not left:
                return


async def follow(services: Services, job_id: JobId, start: Position) -> AsyncGenerator[bytes, None]:
    """Log lines as they become durable; ends when the job has ended, or is paused, and all was sent."""
    position = start
    with services.waiters.watch(job_id) as watch:
        while True:
            # Before looking: what changes after this is a new change.
            watch.changed.clear()
            (job,) = await services.queue.get([job_id])
            if job is None:
                return
            async for after, lines in _from(services, job, position):
                position = after
                if lines:
                    yield _encode_lines(lines)
            if job.state in AT_REST or services.waiters.closed:
                return
            try:
                async with asyncio.timeout(QUIET_S):
                    await watch.changed.wait()
            except TimeoutError:
                yield b"\n"


async def _from(
    services: Services, job: Job, start: Position, to: int | None = None
) -> AsyncIterator[tuple[Position, list[LogLine]]]:
    """Portions of lines, each with the position after it, up to the end of the job's present attempt, or to
    entry ``to`` of the one it begins with.
    """
    attempt, index = start
    while attempt <= job.attempt:
        async for following, lines in log_lines(services.queue, job.id, attempt, index, to):
            yield (attempt, following), lines
        if attempt == job.attempt or to is not None:
            return
        attempt, index = attempt + 1, 0
        yield (attempt, 0), []

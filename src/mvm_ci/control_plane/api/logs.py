"""A job's output as a stream of lines."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

import msgspec

from mvm_ci.control_plane.api.services import Services
from mvm_ci.domain.ids import JobId
from mvm_ci.domain.job import AT_REST, Job
from mvm_ci.lifecycle.journal_view import log_lines
from mvm_ci.wire.api import LogLine

QUIET_S: Final = 15.0
"""After so long without output an empty line is sent: a reader can tell silence from a lost connection."""
_encode_lines = msgspec.json.Encoder().encode_lines
"""Nothing more comes by itself."""
Position = tuple[int, int]
"""(attempt, index of the next entry)."""


async def until_now(services: Services, job: Job, start: Position) -> AsyncGenerator[bytes, None]:
    """The durable log lines of all attempts, from ``start`` on."""
    async for _, lines in _from(services, job, start):
        if lines:
            yield _encode_lines(lines)


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
    services: Services, job: Job, start: Position
) -> AsyncIterator[tuple[Position, list[LogLine]]]:
    """Portions of lines, each with the position after it, up to the end of the job's present attempt."""
    attempt, index = start
    while attempt <= job.attempt:
        async for following, lines in log_lines(services.queue, job.id, attempt, index):
            yield (attempt, following), lines
        if attempt == job.attempt:
            return
        attempt, index = attempt + 1, 0
        yield (attempt, 0), []

"""The route of events: a stream that goes on where its reader left off."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Final

import msgspec

from mvm_ci.control_plane.api.requests import Request
from mvm_ci.control_plane.api.routes import EVENT_STREAM, Stream
from mvm_ci.control_plane.api.selection import parse_id
from mvm_ci.control_plane.api.services import Services
from mvm_ci.domain.errors import BadInput
from mvm_ci.domain.events import OF_NO_JOB, EventKind, JobEvent
from mvm_ci.domain.ids import JobId, format_job_id
from mvm_ci.domain.job import Job
from mvm_ci.lifecycle.events import Listener
from mvm_ci.wire.api import EventView

QUIET_S: Final = 15.0
"""After so long without events a comment is sent; it names the last number that was looked at."""
BATCHES: Final = 64
"""Batches of the log that are read together."""
LOOK_UP: Final = 500
"""Jobs that are looked up together."""
KINDS: Final = {kind.label: kind for kind in EventKind}
_LAST: Final = (1 << 53) - 1
_DIGITS: Final = 16
_encode = msgspec.json.Encoder().encode


class _Wanted(msgspec.Struct, frozen=True):
    namespace: str
    kinds: frozenset[EventKind]
    job: JobId | None

    def selects(self, event: JobEvent) -> bool:
        if event.kind in OF_NO_JOB:
            return True
        return event.kind in self.kinds and self.job in {None, event.job}


async def stream(services: Services, request: Request) -> Stream:
    """Events of a namespace, from a number on."""
    query = request.query
    wanted = _Wanted(
        namespace=request.namespace,
        kinds=_kinds(query.get("kind", "")),
        job=parse_id(query["job"], "job") if query.get("job") else None,
    )
    services.events.admit()
    after = _after(request)
    if after is None:
        after = await services.events.last()
    pieces = _following(services, request, wanted, after)
    if not query.get("follow", True):
        pieces = _present(services, wanted, after)
    return Stream(pieces, EVENT_STREAM)


async def _following(
    services: Services, request: Request, wanted: _Wanted, after: int
) -> AsyncGenerator[bytes, None]:
    # At once, so that the reader knows that it is connected.
    yield await _beginning(services, after)
    checked_ms = services.clock.now_ms()
    with services.events.listen() as listener:
        while not services.waiters.closed:
            # Before reading: what is appended after this is news.
            listener.changed.clear()
            async for reached, text in _read(services, wanted, after):
                after = reached
                if text:
                    yield text
            quiet = not await _changed(listener)
            now = services.clock.now_ms()
            if quiet or now - checked_ms >= QUIET_S * 1000:
                checked_ms = now
                if not await services.auth.still_valid(request.caller):
                    return
                yield b": still there\nid: %d\n\n" % after


async def _present(services: Services, wanted: _Wanted, after: int) -> AsyncGenerator[bytes, None]:
    yield await _beginning(services, after)
    async for _, text in _read(services, wanted, after):
        if text:
            yield text


async def _read(services: Services, wanted: _Wanted, after: int) -> AsyncGenerator[tuple[int, bytes], None]:
    """Texts of what there is, each with the number that it reaches to; an empty one moves on."""
    while batches := await services.events.read(after, BATCHES):
        events = [event for batch in batches for event in batch.events() if event.seq > after]
        async for text in _shown(services, wanted, events):
            yield after, text
        after = batches[-1].last
        yield after, b""


async def _changed(listener: Listener) -> bool:
    try:
        async with asyncio.timeout(QUIET_S):
            await listener.changed.wait()
    except TimeoutError:
        return False
    return True


async def _beginning(services: Services, after: int) -> bytes:
    if await services.events.missing(after):
        return _text(EventView(seq=after, at_ms=services.clock.now_ms(), kind=EventKind.GAP.label))
    return b": events\nid: %d\n\n" % after


async def _shown(
    services: Services, wanted: _Wanted, events: Sequence[JobEvent]
) -> AsyncGenerator[bytes, None]:
    """The text of those that are wanted, in portions."""
    chosen = [event for event in events if wanted.selects(event)]
    for at in range(0, len(chosen), LOOK_UP):
        part = chosen[at : at + LOOK_UP]
        ids = sorted({event.job for event in part if event.job is not None})
        found = await services.queue.get(ids) if ids else []
        jobs = {job.id: job for job in found if job is not None}
        texts = [text for event in part if (text := _one(event, jobs, wanted.namespace))]
        if texts:
            yield b"".join(texts)


def _one(event: JobEvent, jobs: dict[JobId, Job], namespace: str) -> bytes | None:
    if event.job is None:
        return _text(EventView(seq=event.seq, at_ms=event.at_ms, kind=event.kind.label))
    job = jobs.get(event.job)
    # Whose it was, nobody can tell of a job that was removed.
    if job is None or job.options.lane.namespace != namespace:
        return None
    return _text(
        EventView(
            seq=event.seq,
            at_ms=event.at_ms,
            kind=event.kind.label,
            job=format_job_id(job.id),
            state=job.state.label,
            name=job.spec.name,
            queue=job.options.lane.queue,
        )
    )


def _text(event: EventView) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.seq, event.kind.encode(), _encode(event))


def _kinds(text: str) -> frozenset[EventKind]:
    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise BadInput(f"kind: {unknown[0][:80]!r} is none of {', '.join(KINDS)}")
    return frozenset(KINDS[name] for name in names) or frozenset(EventKind)


def _after(request: Request) -> int | None:
    header = request.last_event_id
    if header is None:
        after: int | None = request.query.get("after")
        return after
    # Also no number: superscript digits, and more digits than Python takes.
    if not (header.isascii() and header.isdigit() and len(header) <= _DIGITS) or int(header) > _LAST:
        raise BadInput("Last-Event-ID: not the number of an event")
    return int(header)

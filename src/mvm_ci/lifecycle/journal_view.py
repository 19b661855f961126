"""Journals for people: entries in words, and the guest's log lines out of them."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

import msgspec

from mvm_ci.domain.errors import CorruptJournal
from mvm_ci.domain.ids import JobId, format_job_id
from mvm_ci.domain.segment import Segment
from mvm_ci.journal.codec import decode_data, encode_entry
from mvm_ci.journal.entries import Began, Entry, Logged, Placement
from mvm_ci.journal.glance import glance
from mvm_ci.ports.job_queue import JobQueue
from mvm_ci.wire.api import DAMAGE, JournalEntry, LogLine

PAGE: Final = 64
"""Segments of one read: at most 16 MiB."""
PORTION: Final = 500
"""Entries that are shown at once."""
_STRIDE: Final = 256
"""Entries that are looked at first for the newest lines."""


async def entries(
    queue: JobQueue, job: JobId, attempt: int, first: int = 0
) -> AsyncIterator[list[tuple[int, Entry]]]:
    """The attempt's durable entries from index ``first`` on, each with its index, a segment at a time.

    Raises ``CorruptJournal``, naming job and index, for what cannot be read.
    """
    while True:
        segments = await queue.journal(job, attempt, first, PAGE)
        for segment in segments:
            yield [(index, entry) for index, entry in _decode(job, segment) if index >= first]
        if len(segments) < PAGE:
            return
        first = segments[-1].first + segments[-1].count


async def log_lines(
    queue: JobQueue, job: JobId, attempt: int, first: int = 0, to: int | None = None
) -> AsyncIterator[tuple[int, list[LogLine]]]:
    """The attempt's log lines from entry ``first`` on, and before ``to``; with each portion the index at
    which to go on later.
    """
    async for part in entries(queue, job, attempt, first):
        inside = part if to is None else [(index, entry) for index, entry in part if index < to]
        if inside:
            lines = [
                LogLine(attempt=attempt, index=index, at_ms=entry.at_ms, stream=entry.stream, text=entry.text)
                for index, entry in inside
                if isinstance(entry, Logged)
            ]
            yield inside[-1][0] + 1, lines
        if len(inside) < len(part):
            return


async def newest_lines(queue: JobQueue, job: JobId, attempt: int, length: int, count: int) -> list[int]:
    """Indices of the newest ``count`` log lines among the attempt's first ``length`` entries, oldest first.

    Reads from the end, in strides that double: a long journal costs what its last part costs.
    """
    found: list[int] = []
    end, stride = length, max(count, _STRIDE)
    while end > 0 and len(found) < count:
        start = max(0, end - stride)
        portions = [lines async for _, lines in log_lines(queue, job, attempt, start, end)]
        found = [line.index for lines in portions for line in lines] + found
        end, stride = start, 2 * stride
    return found[-count:]


async def journal_length(queue: JobQueue, job: JobId, attempt: int) -> int:
    """How many durable entries an attempt has."""
    length = 0
    while segments := await queue.journal(job, attempt, length, PAGE):
        length = segments[-1].first + segments[-1].count
    return length


class JournalReader:
    """Reads an attempt's journal once, as it grows: entry by entry, each with who wrote it."""

    def __init__(self, queue: JobQueue, job: JobId, attempt: int) -> None:
        self._queue = queue
        self._job = job
        self._attempt = attempt
        self._next = 0
        self._began_ns = 0
        self._epoch, self._place = 1, ""

    async def read(self) -> AsyncIterator[list[JournalEntry]]:
        """What was not read before, in portions: others may have a turn in between.

        From the beginning: who wrote an entry stands before it; only of the very first it stands behind.
        Damage is the last entry that it shows.
        """
        try:
            async for part in entries(self._queue, self._job, self._attempt, self._next):
                for at in range(0, len(part), PORTION):
                    yield self._shown(part[at : at + PORTION])
        except CorruptJournal as error:
            yield [JournalEntry(attempt=self._attempt, index=self._next, kind=DAMAGE, summary=str(error))]

    def _shown(self, part: Sequence[tuple[int, Entry]]) -> list[JournalEntry]:
        shown: list[JournalEntry] = []
        for index, entry in part:
            if isinstance(entry, Began):
                self._began_ns = entry.wall_ns
            elif isinstance(entry, Placement):
                self._epoch, self._place = entry.epoch, entry.place
                if index == 1 and shown:
                    shown[0] = msgspec.structs.replace(shown[0], epoch=self._epoch, place=self._place)
            shown.append(self._one(index, entry))
            self._next = index + 1
        return shown

    def _one(self, index: int, entry: Entry) -> JournalEntry:
        what, answer, at_ms = glance(entry, self._began_ns)
        return JournalEntry(
            attempt=self._attempt,
            index=index,
            kind=type(entry).__name__,
            summary=what,
            answer=answer,
            at_ms=at_ms,
            epoch=self._epoch,
            place=self._place,
            bytes=len(encode_entry(entry)),
            fields={name: _plain(getattr(entry, name)) for name in entry.__struct_fields__},
        )


def _plain(value: Any) -> Any:  # noqa: ANN401 (any field of any entry, as JSON)
    """Fields by name, where the stored form has arrays; bytes as text if they are text."""
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"hex": value.hex()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _decode(job: JobId, segment: Segment) -> Iterator[tuple[int, Entry]]:
    try:
        found = decode_data(segment.data)
    except CorruptJournal as error:
        raise CorruptJournal(f"job {format_job_id(job)}, journal entry {segment.first}: {error}") from error
    return enumerate(found, segment.first)

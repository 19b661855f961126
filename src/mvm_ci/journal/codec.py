"""Journal entries as bytes.

The data of a segment::

    ┌─────────┬───────────────────┬──────────────────────────────────────┐
    │ version │ CRC-32            │ MessagePack array of entries         │
    │ 1 byte  │ 4 bytes, big end. │ each an array: [tag, field, field …] │
    └─────────┴───────────────────┴──────────────────────────────────────┘

The checksum is of version and entries; in version 1 of the entries alone.

The checksum finds damage, not forgery: who may append is the control plane's business. Where one segment ends
and the next begins means nothing; only the order of the entries does.
"""

from collections.abc import Iterable
from typing import Final
from zlib import crc32

import msgspec

from mvm_ci.domain.errors import CorruptJournal
from mvm_ci.domain.segment import Segment
from mvm_ci.journal.entries import FORMAT_VERSION, Entry

MAX_SEGMENT: Final = 256 << 10
"""Bytes of one segment, header included."""
_VERSION: Final = bytes([FORMAT_VERSION])
_BEGIN: Final = crc32(_VERSION)
HEADER: Final = 5
"""Bytes of version and checksum."""
_ARRAY: Final = 3  # the longest array header needed: no entry is under 4 bytes, so there are under 65,536
MAX_ENTRY: Final = MAX_SEGMENT - HEADER - _ARRAY
"""Bytes of one encoded entry."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Entry])

encode_entry = _encoder.encode


class Writer:
    """Gathers new entries and hands them out as segments.

    ``end``: index of the next entry; ``unposted``: bytes not handed out.
    """

    __slots__ = ("_full", "_parts", "_size", "_taken", "end", "unposted")

    def __init__(self, first: int) -> None:
        self.end = first
        self.unposted = 0
        self._full: list[Segment] = []
        self._parts: list[bytes] = []
        self._size = 0
        self._taken: list[int] = []

    def add(self, encoded: bytes, taken: int | None = None) -> None:
        """Appends an encoded entry, which takes the mail of that number. Raises ``ValueError`` if it is over
        ``MAX_ENTRY`` bytes.
        """
        size = len(encoded)
        if self._size + size > MAX_ENTRY:
            if size > MAX_ENTRY:
                raise ValueError(f"an entry of {size} bytes does not fit a segment")
            self._seal()
        self._parts.append(encoded)
        self._size += size
        self.unposted += size
        self.end += 1
        if taken is not None:
            self._taken.append(taken)

    def take(self) -> list[Segment]:
        """All entries not handed out before, in order."""
        if self._parts:
            self._seal()
        taken, self._full = self._full, []
        self.unposted = 0
        return taken

    def _seal(self) -> None:
        count = len(self._parts)
        head = bytes([0x90 | count]) if count < 16 else b"\xdc" + count.to_bytes(2, "big")
        body = head + b"".join(self._parts)
        data = _VERSION + crc32(body, _BEGIN).to_bytes(4, "big") + body
        self._full.append(Segment(self.end - count, count, data, tuple(self._taken)))
        self._parts = []
        self._size = 0
        self._taken = []


def split(entries: Iterable[Entry], first: int) -> list[Segment]:
    """``entries`` as segments of at most ``MAX_SEGMENT`` bytes; the first entry has index ``first``.

    Raises ``ValueError`` if an entry is over ``MAX_ENTRY`` bytes.
    """
    writer = Writer(first)
    for entry in entries:
        writer.add(encode_entry(entry))
    return writer.take()


def intact(data: bytes) -> bool:
    """Whether the checksum of a segment's data matches."""
    if len(data) < HEADER:
        return False
    body = memoryview(data)[HEADER:]
    return crc32(body, 0 if data[0] == 1 else crc32(data[:1])) == int.from_bytes(data[1:HEADER], "big")


def decode_data(data: bytes) -> list[Entry]:
    """The entries of one segment. Raises ``CorruptJournal`` for anything else, and for a newer version."""
    if not HEADER < len(data) <= MAX_SEGMENT:
        raise CorruptJournal(f"{len(data)} bytes are no part of a journal")
    if data[0] > FORMAT_VERSION:
        raise CorruptJournal(newer(data[0]))
    if not data[0]:
        raise CorruptJournal(f"there is no journal format {data[0]}")
    if not intact(data):
        raise CorruptJournal("the checksum does not match")
    try:
        return _decoder.decode(memoryview(data)[HEADER:])
    # The latter two: text that is no UTF-8, and nesting so deep that somebody must have made it on purpose.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptJournal(f"not journal entries: {error}") from error


def decode(segments: Iterable[Segment]) -> list[Entry]:
    """The entries of a whole journal, from index 0.

    Raises ``CorruptJournal``, naming the index, where a segment is missing, out of order, or cannot be read.
    """
    entries: list[Entry] = []
    for segment in segments:
        end = len(entries)
        if segment.first != end:
            raise CorruptJournal(f"journal entry {end}: the next stored segment begins at {segment.first}")
        try:
            part = decode_data(segment.data)
        except CorruptJournal as error:
            raise CorruptJournal(f"journal entry {end}: {error}") from error
        if len(part) != segment.count or not part:
            raise CorruptJournal(
                f"journal entry {end}: {len(part)} entries where {segment.count} were stored"
            )
        entries += part
    return entries


def newer(version: int) -> str:
    """What to say about a journal of a later format."""
    return (
        f"the journal has format {version}, this engine reads up to {FORMAT_VERSION}: "
        "run the job on an engine that is at least as new as the one that began it"
    )

"""Journal entries as bytes.

A chunk (what the ports call a segment) holds consecutive entries::

    ┌─────────┬───────────────────┬──────────────────────────────────────┐
    │ version │ CRC-32 of the rest│ MessagePack array of entries         │
    │ 1 byte  │ 4 bytes, big end. │ each an array: [tag, field, field …] │
    └─────────┴───────────────────┴──────────────────────────────────────┘

The checksum finds damage, not forgery: who may append is the control plane's business. Where one chunk ends
and the next begins means nothing; only the order of the entries does.
"""

from collections.abc import Iterable
from typing import Final, Protocol
from zlib import crc32

import msgspec

from mvm_ci.domain.errors import CorruptJournal
from mvm_ci.journal.entries import FORMAT_VERSION, Entry

MAX_CHUNK: Final = 256 << 10
"""Bytes of one chunk, header included."""
_VERSION: Final = bytes([FORMAT_VERSION])
_HEADER: Final = 5  # version and checksum
_ARRAY: Final = 3  # the longest array header that a chunk can need: its entries are fewer than 65,536
_MAX_COUNT: Final = 0xFFFF
MAX_ENTRY: Final = MAX_CHUNK - _HEADER - _ARRAY
"""Bytes of one encoded entry."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Entry])

encode_entry = _encoder.encode


class Chunk(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """``count`` entries from index ``first`` on, encoded: field for field a segment of the ports (a layer
    above).
    """

    first: int
    count: int
    data: bytes


class Stored(Protocol):
    """What ``decode`` reads: a ``Chunk``, or a segment as the ports carry it."""

    @property
    def first(self) -> int:
        """Index of the first entry."""
        ...

    @property
    def count(self) -> int:
        """How many entries."""
        ...

    @property
    def data(self) -> bytes:
        """The bytes of a chunk."""
        ...


class Writer:
    """Gathers new entries and hands them out as chunks.

    ``end``: index of the next entry; ``unposted``: bytes not handed out.
    """

    __slots__ = ("_full", "_parts", "_size", "end", "unposted")

    def __init__(self, first: int) -> None:
        self.end = first
        self.unposted = 0
        self._full: list[Chunk] = []
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, encoded: bytes) -> None:
        """Appends one entry, as ``encode_entry`` made it. Raises ``ValueError`` if it is over
        ``MAX_ENTRY``.
        """
        size = len(encoded)
        if self._size + size > MAX_ENTRY or len(self._parts) == _MAX_COUNT:
            if size > MAX_ENTRY:
                raise ValueError(f"an entry of {size} bytes does not fit a chunk")
            self._seal()
        self._parts.append(encoded)
        self._size += size
        self.unposted += size
        self.end += 1

    def take(self) -> list[Chunk]:
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
        data = _VERSION + crc32(body).to_bytes(4, "big") + body
        self._full.append(Chunk(self.end - count, count, data))
        self._parts = []
        self._size = 0


def split(entries: Iterable[Entry], first: int) -> list[Chunk]:
    """``entries`` as chunks of at most ``MAX_CHUNK`` bytes; the first entry has index ``first``.

    Raises ``ValueError`` if an entry is over ``MAX_ENTRY`` bytes.
    """
    writer = Writer(first)
    for entry in entries:
        writer.add(encode_entry(entry))
    return writer.take()


def decode_chunk(data: bytes) -> list[Entry]:
    """The entries of one chunk. Raises ``CorruptJournal`` for anything else, and for a newer version."""
    if not _HEADER < len(data) <= MAX_CHUNK:
        raise CorruptJournal(f"{len(data)} bytes are no part of a journal")
    if data[0] > FORMAT_VERSION:
        raise CorruptJournal(newer(data[0]))
    if data[0] != FORMAT_VERSION:
        raise CorruptJournal(f"there is no journal format {data[0]}")
    body = memoryview(data)[_HEADER:]
    if crc32(body) != int.from_bytes(data[1:_HEADER], "big"):
        raise CorruptJournal("the checksum does not match")
    try:
        return _decoder.decode(body)
    # A forged chunk with a good checksum can nest deeply enough for the second.
    except (msgspec.DecodeError, RecursionError) as error:
        raise CorruptJournal(f"not journal entries: {error}") from error


def decode(chunks: Iterable[Stored]) -> list[Entry]:
    """The entries of a whole journal, from index 0.

    Raises ``CorruptJournal``, naming the index, where a chunk is missing, out of order, or cannot be read.
    """
    entries: list[Entry] = []
    for chunk in chunks:
        end = len(entries)
        if chunk.first != end:
            raise CorruptJournal(f"journal entry {end}: the next stored segment begins at {chunk.first}")
        try:
            part = decode_chunk(chunk.data)
        except CorruptJournal as error:
            raise CorruptJournal(f"journal entry {end}: {error}") from error
        if len(part) != chunk.count or not part:
            raise CorruptJournal(f"journal entry {end}: {len(part)} entries where {chunk.count} were stored")
        entries += part
    return entries


def newer(version: int) -> str:
    """What to say about a journal of a later format."""
    return (
        f"the journal has format {version}, this engine reads up to {FORMAT_VERSION}: "
        "run the job on an engine that is at least as new as the one that began it"
    )

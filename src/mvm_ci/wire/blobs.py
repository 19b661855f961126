"""Large payloads, modules, artifacts and journals: one two-way stream for each transfer, beside the worker's
main stream.

The worker opens the stream. Its first frame is the request, the control plane's first frame the answer; raw
bytes follow.

::

    worker                            control plane
      │ GetBlob(digest) ───────────────▶ │
      │ ◀─────── Follows(size) + bytes   │   or Missing, or TransferFailed
      │
      │ PutBlob(digest, size) ─────────▶ │
      │ ◀────────────── Wanted | Stored  │   Stored at once: it is there already
      │ bytes ─────────────────────────▶ │
      │ ◀────── Stored | TransferFailed  │   durable, and its digest is right
      │
      │ PutArtifact(placed, digest, size)  │   likewise, for the artifact of a placement
      │
      │ GetJournal(placed) ────────────▶ │
      │ ◀─────── Follows(size) + bytes   │   a MessagePack array of segments; Missing: the placement is over

Whoever receives a blob verifies its size and digest. Artifacts go through files on both sides: no more than a
piece of one is in memory. ``GetBlob`` gets them, too.
 Each side finishes its half of the stream after what it
has to say.
"""

import hashlib
from typing import Final, TypeAlias

import msgspec

from mvm_ci.domain.errors import ProtocolError
from mvm_ci.domain.ids import Digest, is_digest
from mvm_ci.domain.job import Placed
from mvm_ci.domain.segment import Segment
from mvm_ci.wire.frames import FrameReader

MAX_BLOB: Final = 64 << 20
"""Bytes of one transfer; a peer that announces more is cut off."""
MAX_JOURNAL: Final = 72 << 20
"""The same of a journal: a full one, its last entry, and what each segment adds."""


class GetBlob(msgspec.Struct, frozen=True, array_like=True, tag=40, gc=False):
    """Asks for the bytes with this digest."""

    digest: Digest


class PutBlob(msgspec.Struct, frozen=True, array_like=True, tag=41, gc=False):
    """Offers ``size`` bytes with this digest."""

    digest: Digest
    size: int


class GetJournal(msgspec.Struct, frozen=True, array_like=True, tag=42):
    """Asks for all durable segments of a placement's execution, because they did not fit into its
    ``Assign``.
    """

    placed: Placed


class PutArtifact(msgspec.Struct, frozen=True, array_like=True, tag=43):
    """Offers ``size`` bytes with this digest, which the guest of a placement puts as an artifact."""

    placed: Placed
    digest: Digest
    size: int


class Follows(msgspec.Struct, frozen=True, array_like=True, tag=50, gc=False):
    """``size`` raw bytes follow, then the end of the stream."""

    size: int


class Missing(msgspec.Struct, frozen=True, array_like=True, tag=51, gc=False):
    """There is no such blob, or the placement is over: asking again cannot help."""


class Wanted(msgspec.Struct, frozen=True, array_like=True, tag=52, gc=False):
    """Send the announced bytes."""


class Stored(msgspec.Struct, frozen=True, array_like=True, tag=53, gc=False):
    """The bytes are durable."""


class TransferFailed(msgspec.Struct, frozen=True, array_like=True, tag=54, gc=False):
    """Not now (disk full, ...), or never (``code`` other than ``unavailable``)."""

    code: str
    message: str


BlobRequest: TypeAlias = GetBlob | PutBlob | GetJournal | PutArtifact
BlobAnswer: TypeAlias = Follows | Missing | Wanted | Stored | TransferFailed

_segments = msgspec.msgpack.Decoder(tuple[Segment, ...])


def request_reader() -> FrameReader[BlobRequest]:
    """Reads the one frame that opens a transfer (the control plane's side); take it with ``feed_one``."""
    return FrameReader[BlobRequest](BlobRequest)


def answer_reader() -> FrameReader[BlobAnswer]:
    """Reads the answers of a transfer (the worker's side); take each with ``feed_one``."""
    return FrameReader[BlobAnswer](BlobAnswer)


def encode_journal(segments: tuple[Segment, ...]) -> bytes:
    """The raw bytes that answer ``GetJournal``."""
    return msgspec.msgpack.encode(segments)


def decode_journal(data: bytes) -> tuple[Segment, ...]:
    """The segments in the answer to ``GetJournal``. Raises ``ProtocolError`` for anything else."""
    try:
        return _segments.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ProtocolError(f"a journal that cannot be read: {error}") from error


class Receiving:
    """The raw bytes of one transfer as they come in: exactly ``size`` of them, with ``digest`` if one is
    given. Only a journal has none.

    Raises ``ProtocolError``: at once if the announced size is not allowed or the digest is none; as soon as
    too much came; and from ``result`` if bytes are missing or the digest differs.
    """

    __slots__ = ("_chunks", "_digest", "_received", "_size")

    def __init__(self, size: int, digest: str | None = None) -> None:
        limit = MAX_JOURNAL if digest is None else MAX_BLOB
        if not 0 <= size <= limit:
            raise ProtocolError(f"a transfer of {size} bytes; at most {limit} are allowed")
        if digest is not None and not is_digest(digest):
            raise ProtocolError("a blob's digest must be 64 lower-case hex digits")
        self._size = size
        self._digest = digest
        self._chunks: list[bytes] = []
        self._received = 0

    @property
    def missing(self) -> int:
        """Bytes that have not come yet."""
        return self._size - self._received

    def feed(self, data: bytes) -> None:
        """Takes the next bytes."""
        self._received += len(data)
        if self._received > self._size:
            raise ProtocolError(f"more than the announced {self._size} bytes of a transfer")
        self._chunks.append(data)

    def result(self) -> bytes:
        """All bytes, verified. Hashes up to 64 MiB: call it off the event loop."""
        if self.missing:
            raise ProtocolError(f"a transfer ended {self.missing} of {self._size} bytes too early")
        data = b"".join(self._chunks)
        if self._digest is not None and hashlib.sha256(data).hexdigest() != self._digest:
            raise ProtocolError(f"a transfer's bytes do not have the digest {self._digest}")
        return data

"""Frames: a length (4 bytes, little-endian), then one message as MessagePack."""

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

from mvm_ci.domain.errors import ProtocolError, TooLarge
from mvm_ci.wire.messages import MAX_FRAME, FromControlPlane, FromWorker

Message = TypeVar("Message")
Item = TypeVar("Item")
Sent = TypeVar("Sent", bound=msgspec.Struct)

BATCH_BYTES: Final = 1 << 20
"""Bytes at which ``encode_batches`` begins another frame, so that one message does not hold up the stream for
long.
"""

_LENGTH: Final = struct.Struct("<I")
_encode: Final = msgspec.msgpack.Encoder().encode
# Everything that decoding foreign bytes can raise: nesting too deep, bad UTF-8, numbers too large, wrong
# shape.
_DECODE_ERRORS: Final = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError, TypeError)


def encode(message: msgspec.Struct) -> bytes:
    """The frame of ``message``. Raises ``TooLarge`` if it is over ``MAX_FRAME``: the peer would cut us
    off.
    """
    body = _encode(message)
    if len(body) > MAX_FRAME:
        raise TooLarge(
            f"a {type(message).__name__} of {len(body)} bytes does not fit into a frame of {MAX_FRAME}"
        )
    return _LENGTH.pack(len(body)) + body


def encode_batches(
    make: Callable[[tuple[Item, ...]], Sent], items: Sequence[Item]
) -> list[tuple[Sent, bytes]]:
    """Messages that together carry ``items`` in order, each with its frame; none for no items.

    As few as fit ``BATCH_BYTES``, unless a single item is larger. Raises ``TooLarge`` if one does not fit
    a frame at all.
    """
    if not items:
        return []
    message = make(tuple(items))
    body = _encode(message)
    if len(body) <= BATCH_BYTES or (len(items) == 1 and len(body) <= MAX_FRAME):
        return [(message, _LENGTH.pack(len(body)) + body)]
    if len(items) == 1:
        raise TooLarge(f"one item of {len(body)} bytes does not fit into a frame of {MAX_FRAME}")
    half = len(items) // 2
    return encode_batches(make, items[:half]) + encode_batches(make, items[half:])


class FrameReader(Generic[Message]):
    """Bytes in, as they come; messages of one direction out.

    Whatever the bytes, ``feed`` answers with messages or raises ``ProtocolError``; after that the reader is
    of no more use. Holds at most one frame and what was fed last.
    """

    __slots__ = ("_broken", "_buffer", "_decode")

    def __init__(self, messages: Any) -> None:  # noqa: ANN401 (a union of message types, which has no type of its own)
        self._decode: Callable[[memoryview], Message] = msgspec.msgpack.Decoder(messages).decode
        self._buffer = bytearray()
        self._broken = False

    def feed(self, data: bytes) -> list[Message]:
        """The messages that ``data`` completes."""
        if self._broken:
            raise ProtocolError("the stream was broken before")
        if not self._buffer:
            # The usual case: whole frames, read where they lie.
            messages, used = self._parse(data)
            self._buffer += memoryview(data)[used:]
            return messages
        self._buffer += data
        messages, used = self._parse(self._buffer)
        del self._buffer[:used]
        return messages

    def feed_one(self, data: bytes) -> tuple[Message, bytes] | None:
        """The first message and the raw bytes behind it, once it is whole: for streams that go on with raw
        bytes.
        """
        if self._broken:
            raise ProtocolError("the stream was broken before")
        self._buffer += data
        messages, used = self._parse(self._buffer, limit=1)
        if not messages:
            return None
        rest = bytes(self._buffer[used:])
        self._buffer.clear()
        return messages[0], rest

    @property
    def partial(self) -> bool:
        """Whether a frame has begun that is not whole yet: a stream that ends now was cut."""
        return bool(self._buffer)

    def _parse(self, data: bytes | bytearray, limit: int | None = None) -> tuple[list[Message], int]:
        messages: list[Message] = []
        at, end = 0, len(data)
        with memoryview(data) as view:
            while end - at >= _LENGTH.size and (limit is None or len(messages) < limit):
                (length,) = _LENGTH.unpack_from(view, at)
                if length > MAX_FRAME:
                    self._broken = True
                    raise ProtocolError(
                        f"a frame of {length} bytes was announced; at most {MAX_FRAME} are allowed"
                    )
                begin = at + _LENGTH.size
                if end - begin < length:
                    break
                messages.append(self._message(view, begin, begin + length))
                at = begin + length
        return messages, at

    def _message(self, view: memoryview, begin: int, end: int) -> Message:
        with view[begin:end] as body:
            try:
                return self._decode(body)
            except _DECODE_ERRORS as error:
                self._broken = True
                # The text alone: a chained traceback would keep the peer's bytes alive.
                raise ProtocolError(f"a frame that is no message: {error}") from None


def from_worker() -> FrameReader[FromWorker]:
    """Reads what a worker sends (the control plane's side)."""
    return FrameReader[FromWorker](FromWorker)


def from_control_plane() -> FrameReader[FromControlPlane]:
    """Reads what the control plane sends (the worker's side)."""
    return FrameReader[FromControlPlane](FromControlPlane)

"""The bytes of a file, in pieces: growing, holes and what is saved for ``undo`` cost only what is touched."""

from typing import Final, Protocol

PIECE: Final = 64 << 10
"""Bytes of a piece; the last byte of one that is shorter is followed by zeros."""

Saved = tuple[int, dict[int, bytearray]]


class Content:
    """``size`` bytes. A piece that was never written is not there, and reads as zeros."""

    __slots__ = ("_kept", "_pieces", "size")

    def __init__(self) -> None:
        self.size = 0
        self._pieces: dict[int, bytearray] = {}
        self._kept: set[int] = set()  # pieces that somebody saved: they are copied before they change

    def read(self, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes from ``offset``; fewer at the end."""
        size = min(size, self.size - offset)
        if size <= 0:
            return b""
        first, at = divmod(offset, PIECE)
        if at + size <= PIECE:
            return self._piece(first, at, size)
        parts = [self._piece(first, at, PIECE - at)]
        left = size - (PIECE - at)
        while left > 0:
            first += 1
            parts.append(self._piece(first, 0, min(left, PIECE)))
            left -= PIECE
        return b"".join(parts)

    def write(self, offset: int, data: bytes) -> None:
        """Puts ``data`` at ``offset``; what lies between the end and it reads as zeros."""
        index, at = divmod(offset, PIECE)
        done = 0
        while done < len(data):
            part = data[done : done + PIECE - at]
            piece = self._own(index)
            if len(piece) < at:
                piece.extend(bytes(at - len(piece)))
            piece[at : at + len(part)] = part
            done += len(part)
            index, at = index + 1, 0
        if data:
            self.size = max(self.size, offset + len(data))

    def resize(self, size: int) -> None:
        """Cuts off what is beyond ``size``, or makes a hole up to it."""
        if size < self.size:
            last, keep = divmod(size, PIECE)
            for index in [index for index in self._pieces if index >= last + bool(keep)]:
                del self._pieces[index]
                self._kept.discard(index)
            if keep and len(self._pieces.get(last, b"")) > keep:
                del self._own(last)[keep:]
        self.size = size

    def save(self) -> Saved:
        """What ``restore`` takes."""
        self._kept = set(self._pieces)
        return self.size, dict(self._pieces)

    def restore(self, saved: Saved) -> None:
        """Becomes what it was. The pieces of ``saved`` may be held by others, too."""
        self.size, self._pieces = saved
        self._kept = set(self._pieces)

    def _piece(self, index: int, at: int, size: int) -> bytes:
        piece = self._pieces.get(index)
        if piece is None:
            return bytes(size)
        found = bytes(piece[at : at + size])
        return found if len(found) == size else found + bytes(size - len(found))

    def _own(self, index: int) -> bytearray:
        piece = self._pieces.get(index)
        if piece is None:
            piece = self._pieces[index] = bytearray()
        elif index in self._kept:
            piece = self._pieces[index] = bytearray(piece)
            self._kept.discard(index)
        return piece


class Given(Protocol):
    """Bytes from elsewhere, which never change. What cannot be read does not come back to the guest."""

    @property
    def size(self) -> int:
        """Bytes, counted."""
        ...

    def read(self, offset: int, size: int) -> bytes:
        """See ``Content.read``."""
        ...

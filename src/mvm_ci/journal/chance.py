"""Randomness that needs no entries: it follows from the seed in entry 0."""

from hashlib import blake2b
from typing import Final

_BLOCK: Final = 64  # what BLAKE2b gives at once


class RandomStream:
    """BLAKE2b in counter mode, keyed with the seed: the same seed gives the same bytes, in reads of any
    size.
    """

    __slots__ = ("_counter", "_rest", "_seed")

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._counter = 0
        self._rest = b""

    @property
    def drawn(self) -> int:
        """Bytes read so far."""
        return self._counter * _BLOCK - len(self._rest)

    def skip_to(self, drawn: int) -> None:
        """Goes on as if ``drawn`` bytes had been read."""
        self._counter, rest = divmod(drawn, _BLOCK)
        self._rest = b""
        self.read(rest)

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes. About 1 µs per 64 bytes: whoever passes on a guest's wish divides it."""
        missing = size - len(self._rest)
        if missing > 0:
            blocks = range(self._counter, self._counter - (-missing // _BLOCK))
            self._counter = blocks.stop
            fresh = [blake2b(n.to_bytes(8, "big"), key=self._seed).digest() for n in blocks]
            self._rest = b"".join((self._rest, *fresh))
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

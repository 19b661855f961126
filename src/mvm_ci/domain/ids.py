"""Identifiers: integers inside (small, time-ordered index keys), short text outside.

A job id is ``milliseconds << 20 | serial``: it grows with time, so inserts go to the end of the index.
Outside it is thirteen characters of Crockford base32 with the prefix ``j``, which sort like the integers.
"""

from typing import NewType

JobId = NewType("JobId", int)
SessionId = NewType("SessionId", int)
WorkerId = NewType("WorkerId", str)
"""The worker's endpoint key (64 hex digits).

Proven by the transport's handshake, never claimed in a message.
"""
Incarnation = NewType("Incarnation", str)
"""32 hex digits, new for each start of a worker process."""
Digest = NewType("Digest", str)
"""SHA-256 of some bytes, 64 lower-case hex digits."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
"""Two digits at once: an id is shown on the hot path."""
_VALUES = {c: i for i, c in enumerate(_ALPHABET)} | {"o": 0, "i": 1, "l": 1}
SERIAL_BITS = 20
_TEXT_LENGTH = 13
_MAX_ID = (1 << 63) - 1


_HEX = frozenset("0123456789abcdef")


def is_digest(text: str) -> bool:
    """Whether ``text`` has the form of a digest: it is used in file names, so nothing else may pass."""
    return len(text) == 64 and _HEX.issuperset(text)


def is_incarnation(text: str) -> bool:
    """Whether ``text`` has the form of an incarnation."""
    return len(text) == 32 and _HEX.issuperset(text)


class IdSequence:
    """Makes ids that grow: the clock's milliseconds, then a serial.

    A clock that steps back repeats nothing.
    """

    __slots__ = ("_last",)

    def __init__(self, last: int = 0) -> None:
        self._last = last

    def next(self, now_ms: int) -> int:
        """The next id. ``now_ms``: Unix time in milliseconds."""
        self._last = max(self._last + 1, now_ms << SERIAL_BITS)
        return self._last


def first_id_of(ms: int) -> JobId:
    """The lowest id that a job may have that was submitted at ``ms`` (Unix milliseconds)."""
    return JobId(min(max(ms, 0) << SERIAL_BITS, _MAX_ID))


def format_job_id(job_id: int) -> str:
    """The text form of a job id, e.g. ``j01h2xk9q0w0c4``."""
    pairs = _PAIRS
    return (
        f"j{_ALPHABET[job_id >> 60]}{pairs[job_id >> 50 & 1023]}{pairs[job_id >> 40 & 1023]}"
        f"{pairs[job_id >> 30 & 1023]}{pairs[job_id >> 20 & 1023]}"
        f"{pairs[job_id >> 10 & 1023]}{pairs[job_id & 1023]}"
    )


def parse_job_id(text: str) -> JobId:
    """The id behind its text form. Raises ``ValueError`` if the text is none."""
    lowered = text.lower()
    if len(lowered) != _TEXT_LENGTH + 1 or lowered[0] != "j":
        raise ValueError(text)
    value = 0
    for char in lowered[1:]:
        digit = _VALUES.get(char)
        if digit is None:
            raise ValueError(text)
        value = value << 5 | digit
    if value > _MAX_ID:
        raise ValueError(text)
    return JobId(value)


def job_id_range(prefix: str) -> tuple[JobId, JobId]:
    """The ids (first, last) whose text starts with ``prefix``. Raises ``ValueError`` if no id can."""
    if not prefix or len(prefix) > _TEXT_LENGTH + 1:
        raise ValueError(prefix)
    low = parse_job_id(prefix.ljust(_TEXT_LENGTH + 1, "0"))
    missing = _TEXT_LENGTH + 1 - len(prefix)
    return low, JobId(min(low | ((1 << 5 * missing) - 1), _MAX_ID))

"""Damage: a torn tail is cut off, everything else is refused.

What is appended together is one segment, with one checksum; nothing leaves a guest before its append is known
to be durable. So a last segment that breaks off is an append that was never over, and is taken back as a
whole. A segment that was changed, is missing or stands elsewhere was durable once: nobody can tell what it
said.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from mvm_ci.domain.errors import CorruptJournal
from mvm_ci.domain.segment import Segment
from mvm_ci.journal.codec import HEADER, intact
from mvm_ci.journal.entries import FORMAT_VERSION

_structure = msgspec.msgpack.Decoder(list[msgspec.Raw])
_BREAKS_OFF: Final = "truncated"
"""In what msgspec says of input that ends too early, and of nothing else."""


class Mended(NamedTuple):
    """A journal without its torn tail. ``lost``: entries of that, 0 if it was whole."""

    segments: tuple[Segment, ...]
    lost: int


def mend(segments: Sequence[Segment], length: int | None = None) -> Mended:
    """A whole journal from index 0, of ``length`` entries (None: nobody knows), without a tail that is torn.

    Looks into the last segment only; whoever decodes the others finds what was changed there. Raises
    ``CorruptJournal``, naming the entry, if segments are missing, or are not in order.
    """
    end = 0
    for segment in segments:
        if segment.first != end or segment.count < 1:
            raise CorruptJournal(f"journal entry {end}: the next stored segment begins at {segment.first}")
        end += segment.count
    if length is not None and end != length:
        raise CorruptJournal(f"journal entry {end}: the journal ends here, it had {length} entries")
    if segments and is_torn(segments[-1]):
        return Mended(tuple(segments[:-1]), segments[-1].count)
    return Mended(tuple(segments), 0)


def is_torn(segment: Segment) -> bool:
    """Whether the data is the beginning of a segment of so many entries, and breaks off."""
    data = segment.data
    if intact(data) or (data and not 0 < data[0] <= FORMAT_VERSION):
        return False
    body = data[HEADER:]
    counted = _announced(body)
    if counted is not None and counted != segment.count:
        return False
    try:
        _structure.decode(body)
    except msgspec.DecodeError as error:
        return _BREAKS_OFF in str(error)
    except (UnicodeDecodeError, RecursionError):
        return False
    return False


def _announced(body: bytes) -> int | None:
    """How many entries the array is to have; None if not even that is there, -1 if it is no array."""
    if not body:
        return None
    if body[0] & 0xF0 == 0x90:
        return body[0] & 0x0F
    if body[0] != 0xDC:
        return -1
    return int.from_bytes(body[1:3], "big") if len(body) >= 3 else None

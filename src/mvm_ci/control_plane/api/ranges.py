"""Which part of an answer a request asks for (RFC 9110, chapter 14)."""

import re
from typing import Final

from mvm_ci.serving.problems import HttpError

_RANGE: Final = re.compile(rb"bytes=(\d{0,18})-(\d{0,18})")


def part_of(asked: tuple[bytes | None, bytes | None], size: int, etag: bytes) -> tuple[int, int] | None:
    """Where the part begins and ends, of ``size`` bytes; None: all of them are the answer, also to several
    parts. ``asked``: the headers ``Range`` and ``If-Range``. Raises ``HttpError`` if nothing lies there.
    """
    wanted, unless_changed = asked
    if wanted is None or unless_changed not in (None, etag):
        return None
    found = _RANGE.fullmatch(wanted)
    if found is None:
        return None
    first, last = found.groups()
    if first:
        start, end = int(first), int(last) + 1 if last else size
        if end <= start and last:
            return None
    elif last:
        start, end = max(0, size - int(last)), size
    else:
        return None
    if start >= size:
        raise HttpError(
            416,
            "bad-input",
            f"range: there are {size} bytes, none from {start} on",
            ((b"content-range", b"bytes */%d" % size),),
        )
    return start, min(end, size)

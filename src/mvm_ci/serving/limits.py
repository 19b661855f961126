"""What one caller may take of the server."""

import resource
from typing import Final

import msgspec

MAX_HEAD: Final = 32 << 10
"""Bytes of a request's line and headers."""
MAX_CONNECTIONS: Final = 10_000
HEAD_S: Final = 10.0
"""From a request's first byte, or a connection's start, to the end of its headers."""
KEEP_ALIVE_S: Final = 75.0
"""Between two requests."""
READ_S: Final = 60.0
"""For a whole body, and for more of one that is read as it comes."""
SEND_S: Final = 60.0
"""For the caller to take what stands in the way of more."""
LINGER_S: Final = 5.0
"""Between the end of the last answer and the caller's own end of the connection."""
PIPELINED: Final = 128
"""Requests of a connection that wait for their turn; those behind them need another connection."""
UNREAD: Final = 64 << 10
"""Bytes of a body that are taken before anybody asks for it."""
WINDOW: Final = 256 << 10
"""Bytes of a body that are in memory if it is read as it comes."""
DISCARDED: Final = 64 << 20
"""Bytes of a body nobody wants that are still read: a caller who writes cannot read the answer."""
_SPARE: Final = 256
"""Open files that are kept for the store, the blobs and the workers' side."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits that a test shortens."""

    head_s: float = HEAD_S
    keep_alive_s: float = KEEP_ALIVE_S
    read_s: float = READ_S
    send_s: float = SEND_S
    linger_s: float = LINGER_S
    connections: int = MAX_CONNECTIONS


def affordable(connections: int) -> int:
    """``connections``, or as many as the process may have open files for, and some to spare."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return connections
    return min(connections, max(files - _SPARE, files // 2))

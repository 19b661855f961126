"""What one HTTP connection may take of the server before its request is a request."""

import resource
from typing import Final

import msgspec

_SPARE: Final = 256
"""Open files that are kept for the store, the blobs and the workers' side."""


class HttpLimits(msgspec.Struct, frozen=True):
    """``head_bytes``: of request line and headers, or of anything else that is not body; ``head_s``: for
    the head, from its first byte on; ``idle_s``: between requests, and before the first; ``rest_s``: for the
    rest of a body of which nobody waits, because the answer is out; ``connections``: at once.
    """

    head_bytes: int = 32 << 10
    head_s: float = 10.0
    idle_s: int = 75
    rest_s: float = 60.0
    connections: int = 10_000


def affordable(connections: int) -> int:
    """``connections``, or as many as the process may have open files for, and some to spare."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return connections
    return min(connections, max(files - _SPARE, files // 2))

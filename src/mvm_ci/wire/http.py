"""HTTP between peers: each two-way stream of the connection is a connection of HTTP/1.1, with no more to it.

The peers' keys prove who serves, and encrypt. Who calls the API is told by a token, as over TCP; who calls
the control plane's engine by its key: it must be a worker that has a session.
"""

from typing import Final

ALPN: Final = b"mvm-ci/http/1"
ENGINE_ALPN: Final = b"mvm-ci/engine/1"
STREAMS: Final = 64
"""Streams of one peer at once; what it opens beyond them is broken off."""

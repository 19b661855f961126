"""A peer that calls the API: each stream that it opens is a connection to the HTTP server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from mvm_ci.domain.errors import Unavailable
from mvm_ci.ports.transport import Connection, Stream
from mvm_ci.wire.http import STREAMS
from mvm_ci.wire.messages import CLOSE_DONE, CLOSE_SILENT

log = structlog.get_logger(__name__)

IDLE_S: Final = 75.0
"""A peer that has had no stream open for so long is hung up on."""
WINDOW: Final = 2 << 20
"""Bytes that a peer may send, on all its streams, before somebody reads them."""

_PEER: Final = "peer "

Serve = Callable[[Stream, str], Awaitable[None]]
"""Serves one stream of the peer with this address."""


def is_peer(address: str) -> bool:
    """Whether the address of an exchange is that of a peer's stream."""
    return address.startswith(_PEER)


class PeerCaller:
    """``run`` holds the connection until it is over; cancelling that closes it."""

    def __init__(self, connection: Connection, serve: Serve) -> None:
        self._connection = connection
        self._serve = serve
        self._address = f"{_PEER}{connection.peer}"
        self._streams: set[asyncio.Task[None]] = set()
        self._idle_since = 0.0

    async def run(self) -> None:
        """Raises nothing but what cancels it."""
        code, reason = CLOSE_DONE, "the control plane stops"
        self._connection.limit(WINDOW)
        self._idle_since = asyncio.get_running_loop().time()
        try:
            while (stream := await self._next()) is not None:
                if len(self._streams) >= STREAMS:
                    # One that waits to be accepted would hold memory that nobody counts.
                    await stream.reset()
                else:
                    task = asyncio.create_task(self._hold(stream))
                    self._streams.add(task)
                    task.add_done_callback(self._over)
                del stream
            code, reason = CLOSE_SILENT, "nothing was asked for a while"
        except Unavailable as error:
            log.debug("caller_left", peer=self._connection.peer, reason=str(error))
        finally:
            for task in self._streams:
                task.cancel()
            try:
                await asyncio.gather(*self._streams, return_exceptions=True)
            finally:
                await self._connection.close(code, reason)

    async def _next(self) -> Stream | None:
        """The next stream; None: there was none open for ``IDLE_S``."""
        # Not cancelled at each look: a stream that came just then would be lost.
        accepting = asyncio.ensure_future(self._connection.accept())
        loop = asyncio.get_running_loop()
        try:
            while True:
                left_s = IDLE_S if self._streams else self._idle_since + IDLE_S - loop.time()
                if left_s <= 0:
                    return None
                done, _ = await asyncio.wait({accepting}, timeout=left_s)
                if done:
                    return accepting.result()
        finally:
            accepting.cancel()

    async def _hold(self, stream: Stream) -> None:
        try:
            await self._serve(stream, self._address)
        except Exception:  # it costs this stream, not the others
            log.exception("caller_broke", peer=self._connection.peer)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._streams.discard(task)
        self._idle_since = task.get_loop().time()

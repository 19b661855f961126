"""A peer that calls the API: each stream that it opens is a connection to the HTTP server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from mvm_ci.domain.errors import Unavailable
from mvm_ci.ports.transport import Connection, Stream
from mvm_ci.wire.messages import CLOSE_DONE, CLOSE_SILENT

log = structlog.get_logger(__name__)

STREAMS: Final = 64
"""Streams of one peer at once; those that it opens beyond them wait."""
IDLE_S: Final = 75.0
"""A peer that has no stream open for so long is hung up on."""

Serve = Callable[[Stream, str], Awaitable[None]]
"""Serves one stream of the peer with this address."""


class ApiCaller:
    """``run`` holds the connection until it is over; cancelling that closes it."""

    def __init__(self, connection: Connection, serve: Serve) -> None:
        self._connection = connection
        self._serve = serve
        self._address = f"peer {connection.peer}"
        self._streams: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(STREAMS)

    async def run(self) -> None:
        """Raises nothing but what cancels it."""
        code, reason = CLOSE_DONE, "the control plane stops"
        try:
            while (stream := await self._next()) is not None:
                task = asyncio.create_task(self._hold(stream))
                self._streams.add(task)
                task.add_done_callback(self._streams.discard)
            code, reason = CLOSE_SILENT, "nothing was asked for a while"
        except Unavailable as error:
            log.debug("caller_left", peer=self._connection.peer, reason=str(error))
        finally:
            for task in self._streams:
                task.cancel()
            await asyncio.gather(*self._streams, return_exceptions=True)
            await self._connection.close(code, reason)

    async def _next(self) -> Stream | None:
        """The next stream; None: nothing was asked for ``IDLE_S``."""
        await self._room.acquire()
        # Not cancelled at each look: a stream that came just then would be lost.
        accepting = asyncio.ensure_future(self._connection.accept())
        try:
            while True:
                done, _ = await asyncio.wait({accepting}, timeout=IDLE_S)
                if done:
                    return accepting.result()
                if not self._streams:
                    return None
        finally:
            accepting.cancel()

    async def _hold(self, stream: Stream) -> None:
        try:
            await self._serve(stream, self._address)
        except Exception:  # it costs this stream, not the others
            log.exception("caller_broke", peer=self._connection.peer)
        finally:
            self._room.release()

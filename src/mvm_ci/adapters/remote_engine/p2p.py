"""An engine at the control plane, which is reached over P2P: each line is a stream of one connection."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from mvm_ci.domain.errors import Unavailable
from mvm_ci.ports.transport import Connection, Stream

Dial = Callable[[float | None], Awaitable[Connection]]
"""Makes a connection, in so many seconds. Raises ``Unavailable``."""


class PeerWay:
    """``http1.Way`` to the peer that ``dial`` leads to, which is called at the first request, and again when
    its connection is gone.
    """

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._connection: Connection | None = None
        self._dialling = asyncio.Lock()
        self._closed = False

    async def open(self, limit_s: float) -> "PeerLine":
        # The dial has a limit of its own, and says why it failed.
        connection = await self._connected(limit_s)
        async with asyncio.timeout(limit_s):
            return PeerLine(await connection.open(), connection)

    async def close(self) -> None:
        self._closed = True
        connection, self._connection = self._connection, None
        if connection is not None:
            await _hang_up(connection)

    async def _connected(self, limit_s: float) -> Connection:
        async with self._dialling:
            self._check()
            if self._connection is None or self._connection.path() is None:
                connection = await self._dial(limit_s)
                if self._closed:
                    await _hang_up(connection)
                    self._check()
                self._connection = connection
            return self._connection

    def _check(self) -> None:
        if self._closed:
            raise Unavailable("the connection was given up")


class PeerLine:
    """``http1.Line``."""

    def __init__(self, stream: Stream, connection: Connection) -> None:
        self._stream = stream
        self._connection = connection

    async def read(self) -> bytes:
        return await self._stream.read()

    async def write(self, data: bytes) -> None:
        await self._stream.write(data)

    def at_rest(self) -> bool:
        # A stream does not show what has come unread. Nothing has: this peer proved that it is our engine,
        # which says nothing unasked, and ends what rests only after more than KEEP_S.
        return self._connection.path() is not None

    async def close(self) -> None:
        await self._stream.reset()


async def _hang_up(connection: Connection) -> None:
    with suppress(Unavailable):
        await connection.close(0, "done")

"""An engine at the control plane, which is reached over P2P: each line is a stream of one connection."""

import asyncio

from mvm_ci.kept_connection import Dial, KeptConnection
from mvm_ci.ports.transport import Connection, Stream


class PeerWay:
    """``http1.Way`` to the peer that ``dial`` leads to."""

    def __init__(self, dial: Dial) -> None:
        self._kept = KeptConnection(dial)

    async def open(self, limit_s: float) -> "PeerLine":
        connection = await self._kept.get(limit_s)
        async with asyncio.timeout(limit_s):
            return PeerLine(await connection.open(), connection)

    async def close(self) -> None:
        await self._kept.close()


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

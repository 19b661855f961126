"""HTTP/1.1 on the streams of a peer-to-peer connection, as a transport of ``httpx``."""

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final

import httpcore
import httpx

from mvm_ci.domain.errors import Unavailable
from mvm_ci.kept_connection import Dial, KeptConnection
from mvm_ci.ports.transport import Connection, Stream
from mvm_ci.wire import http

KEEP_ALIVE_S: Final = 30.0
"""A stream on which nothing is asked for so long is not used again; the server gives it more than that."""
MAX_STREAMS: Final = http.STREAMS // 2
"""Requests at once; further ones wait. Streams that are about to end count at the server, too."""


class PeerTransport(httpx.AsyncHTTPTransport):
    """A transport for ``AsyncClient``: every request goes to the peer that ``dial`` leads to."""

    def __init__(self, dial: Dial) -> None:
        # Not the parent's: that reads certificates, which nobody needs here.
        self._kept = KeptConnection(dial)
        self._pool = httpcore.AsyncConnectionPool(
            network_backend=_Way(self._kept), keepalive_expiry=KEEP_ALIVE_S, max_connections=MAX_STREAMS
        )

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connection and its streams."""
        # First: whoever reads or writes on one of its streams would keep that from being closed.
        await self._kept.close()
        await self._kept.settled()
        await super().aclose()


class _Way(httpcore.AsyncNetworkBackend):
    """What opens "TCP connections": streams of the one connection."""

    def __init__(self, kept: KeptConnection) -> None:
        self._kept = kept

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - there is one server only
        port: int,  # noqa: ARG002
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        try:
            connection = await self._kept.get(timeout)
            async with asyncio.timeout(timeout):
                return _Stream(await connection.open(), connection)
        except TimeoutError:
            raise httpcore.ConnectTimeout from None
        except Unavailable as error:
            raise httpcore.ConnectError(str(error)) from None

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    """``open``: the stream and its connection, until it is closed: then it keeps neither."""

    def __init__(self, stream: Stream, connection: Connection) -> None:
        self._open: tuple[Stream, Connection] | None = (stream, connection)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            async with asyncio.timeout(timeout):
                return await self._stream().read(max_bytes)
        except TimeoutError:
            raise httpcore.ReadTimeout from None
        except Unavailable as error:
            raise httpcore.ReadError(str(error)) from None

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return
        try:
            async with asyncio.timeout(timeout):
                await self._stream().write(buffer)
        except TimeoutError:
            raise httpcore.WriteTimeout from None
        except Unavailable as error:
            raise httpcore.WriteError(str(error)) from None

    async def aclose(self) -> None:
        if self._open is not None:
            (stream, _), self._open = self._open, None
            await stream.reset()

    def get_extra_info(self, info: str) -> Any:
        # How the pool asks whether a connection that rests is gone.
        if info != "is_readable":
            return None
        return self._open is None or self._open[1].path() is None

    def _stream(self) -> Stream:
        if self._open is None:
            raise Unavailable("the stream is closed")
        return self._open[0]

"""HTTP/1.1 on the streams of a peer-to-peer connection, as a transport of ``httpx``."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final

import httpcore
import httpx

from mvm_ci.domain.errors import Unavailable
from mvm_ci.ports.transport import Connection, Stream
from mvm_ci.wire import http

KEEP_ALIVE_S: Final = 30.0
"""A stream on which nothing is asked for so long is not used again; the server gives it more than that."""
MAX_STREAMS: Final = http.STREAMS // 2
"""Requests at once; further ones wait. Streams that are about to end count at the server, too."""

Dial = Callable[[float | None], Awaitable[Connection]]
"""Makes a connection, in so many seconds. Raises ``Unavailable``."""


class PeerTransport(httpx.AsyncHTTPTransport):
    """A transport for ``AsyncClient``: every request goes to the peer that ``dial`` leads to, which is called
    at the first request, and again when its connection is gone.
    """

    def __init__(self, dial: Dial) -> None:
        # Not the parent's: that reads certificates, which nobody needs here.
        self._way = _Way(dial)
        self._pool = httpcore.AsyncConnectionPool(
            network_backend=self._way, keepalive_expiry=KEEP_ALIVE_S, max_connections=MAX_STREAMS
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
        await self._way.hang_up()
        await super().aclose()


class _Way(httpcore.AsyncNetworkBackend):
    """What opens "TCP connections": streams of the one connection, which is made anew when it is gone."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._connection: Connection | None = None
        self._dialling = asyncio.Lock()
        self._closed = False

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - there is one server only
        port: int,  # noqa: ARG002
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        try:
            # The dial has a limit of its own, and says why it failed.
            connection = await self._connected(timeout)
            async with asyncio.timeout(timeout):
                return _Stream(await connection.open(), connection)
        except TimeoutError:
            raise httpcore.ConnectTimeout from None
        except Unavailable as error:
            raise httpcore.ConnectError(str(error)) from None

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def hang_up(self) -> None:
        """Ends the connection; there will be no other."""
        self._closed = True
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Unavailable):
                await connection.close(0, "done")
        async with self._dialling:
            pass  # whoever dials just now has an end

    async def _connected(self, timeout: float | None) -> Connection:
        async with self._dialling:
            if self._closed:
                raise Unavailable("the client is closed")
            if self._connection is None or self._connection.path() is None:
                connection = await self._dial(timeout)
                if self._closed:
                    await connection.close(0, "done")
                    raise Unavailable("the client is closed")
                self._connection = connection
            return self._connection


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

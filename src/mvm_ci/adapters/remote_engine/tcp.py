"""An engine that is reached over TCP, with or without TLS."""

import asyncio
import socket
import ssl
from typing import Final, cast
from urllib.parse import urlsplit

from mvm_ci.adapters.remote_engine.http1 import Http
from mvm_ci.domain.errors import Unavailable

_HIGH: Final = 256 << 10
"""Bytes that wait to be read at which no more are taken from the network."""
_NAMES: Final = "--engine-ca-file names the certificates to trust, --engine the name that it must have"


def engine_at(url: str, trust: ssl.SSLContext) -> Http:
    """What asks there. Raises ``Unavailable`` for an address that is none: an engine may have said it."""
    try:
        parts = urlsplit(url)
        name = (parts.hostname or "").encode("idna").decode()
        port = parts.port
    except ValueError:  # UnicodeError is one
        name, port = "", None
    if not name or parts.scheme not in {"http", "https"}:
        raise Unavailable(f"{url!r} is no address of an engine; one is like http://127.0.0.1:27288")
    tls = trust if parts.scheme == "https" else None
    host = f"[{name}]" if ":" in name else name
    way = TcpWay(name, port or (80 if tls is None else 443), tls)
    return Http(way, host if port is None else f"{host}:{port}", parts.path.rstrip("/"))


class TcpWay:
    """``http1.Way``. ``tls``: None: without."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._open: set[TcpLine] = set()
        self._closed = False

    async def open(self, limit_s: float) -> "TcpLine":
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(limit_s):
                _, line = await loop.create_connection(
                    lambda: TcpLine(self._open), self._host, self._port, ssl=self._tls
                )
        except TimeoutError:
            raise
        except OSError as error:
            raise Unavailable(_unreached(error)) from None
        if self._closed:
            line.abandon()
            raise Unavailable("the connection was given up")
        return line

    async def close(self) -> None:
        self._closed = True
        for line in list(self._open):
            line.abandon()


class TcpLine(asyncio.Protocol):
    """``http1.Line``. ``among``: those that are open."""

    def __init__(self, among: "set[TcpLine]") -> None:
        self._among = among
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = None  # type: ignore[assignment] # set before anything else happens
        self._data = b""
        self._over = False
        self._why: str | None = None
        """It did not just end."""
        self._reading: asyncio.Future[None] | None = None
        self._writing: asyncio.Future[None] | None = None

    async def read(self) -> bytes:
        while not self._data and not self._over:
            self._reading = self._loop.create_future()
            await self._reading
        if self._data:
            data, self._data = self._data, b""
            if len(data) > _HIGH and not self._over:
                self._transport.resume_reading()
            return data
        if self._why is not None:
            raise Unavailable(self._why)
        return b""

    async def write(self, data: bytes) -> None:
        if not self._over:  # else the next read says why
            self._transport.write(data)
            if self._writing is not None:
                await self._writing

    def at_rest(self) -> bool:
        return not self._over and not self._data

    async def close(self) -> None:
        self.abandon()

    def abandon(self) -> None:
        """The same, without a wait: it ends at once."""
        self._lost("the connection was given up")
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        self._among.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._data = self._data + data if self._data else data
        if len(self._data) > _HIGH:
            self._transport.pause_reading()
        _wake(self._reading)

    def eof_received(self) -> None:
        """No more will come; the transport closes itself."""
        self._lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is no more."""
        # One that is broken off has ended, as far as anybody here cares; TLS says more.
        self._lost(None if exc is None or isinstance(exc, ConnectionError) else _broken(exc))

    def pause_writing(self) -> None:
        """The engine does not take what was written."""
        self._writing = self._loop.create_future()

    def resume_writing(self) -> None:
        """It does again."""
        writing, self._writing = self._writing, None
        _wake(writing)

    def _lost(self, why: str | None) -> None:
        if not self._over:
            self._over, self._why = True, why
        self._among.discard(self)
        _wake(self._reading)
        self.resume_writing()


def _wake(future: "asyncio.Future[None] | None") -> None:
    if future is not None and not future.done():
        future.set_result(None)


def _unreached(error: OSError) -> str:
    """What happened, and what to do."""
    if isinstance(error, ssl.SSLError):
        return _broken(error)
    if isinstance(error, socket.gaierror):
        return str(error)
    if isinstance(error, ConnectionResetError | ConnectionAbortedError):
        return f"the connection broke off before it stood ({error}); is it the engine that listens there?"
    return f"nobody listens there ({error}); start the engine, or correct the address"


def _broken(error: Exception) -> str:
    text = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in text:
        reason = text.partition("CERTIFICATE_VERIFY_FAILED] ")[2].partition(" (_ssl")[0]
        return f"{reason}; {_NAMES}"
    if "[SSL" in text:
        return (
            f"TLS fails: {text}; does the engine have a certificate? If not, its address begins with http://"
        )
    return text

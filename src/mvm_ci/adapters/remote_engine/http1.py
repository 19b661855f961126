"""HTTP/1.1 as the calls of an engine need it: few connections that are kept, requests that are only bytes,
small answers, and one long answer that is read as it comes. No redirects, cookies, proxies or compression.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final, Protocol

import httptools

from mvm_ci.domain.errors import Unavailable

CALL_S: Final = 5.0
"""For a connection, for a request to leave, and for each next part of an answer."""
KEEP_S: Final = 30.0
"""After so long a connection is not used again. Servers and proxies close it later, and then a request could
be on its way.
"""
MAX_ANSWER: Final = 1 << 20
"""Bytes of the body of an answer that is taken as a whole."""
MAX_HEAD: Final = 64 << 10
"""Bytes of an answer's head, and of whatever else stands between parts of its body."""


class Line(Protocol):
    """A two-way stream of bytes to the engine. One reader and one writer at a time."""

    async def read(self) -> bytes:
        """Bytes as they come; empty when no more will. Raises ``Unavailable``."""
        ...

    async def write(self, data: bytes) -> None:
        """Returns when more may be written. Raises ``Unavailable``."""
        ...

    def at_rest(self) -> bool:
        """Whether it stands, and nothing has come that nobody has read, as far as that can be seen."""
        ...

    async def close(self) -> None:
        """At once. Nobody may read or write it any more. Raises nothing."""
        ...


class Way(Protocol):
    """What leads to the engine."""

    async def open(self, limit_s: float) -> Line:
        """Another line to it. Raises ``Unavailable``, ``TimeoutError``."""
        ...

    async def close(self) -> None:
        """Whoever reads or writes on one of its lines, or opens one, hears ``Unavailable``."""
        ...


class Http:
    """Requests to one server. ``host``: as it is named to it; ``prefix``: of all its paths."""

    def __init__(self, way: Way, host: str, prefix: str = "") -> None:
        self._way = way
        self._host = host
        self._prefix = prefix
        self._kept: list[Wire] = []
        """Those that rest, the one used last at the end."""
        self._closed = False

    async def ask(self, method: str, path: str, headers: str = "", body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of the answer. ``headers``: lines with their ends. Nothing is sent twice. Raises
        ``Unavailable``.
        """
        length = f"content-length: {len(body)}\r\n" if body else ""
        wire = await self._wire()
        try:
            await wire.send(self._head(method, path, headers + length) + body)
            await wire.head(CALL_S)
            answer = wire.status, await wire.rest()
        except BaseException:
            # An answer that nobody waits for would be taken for that of the next request.
            await wire.close()
            raise
        if wire.reusable and not self._closed:
            wire.rests_since = _now()
            self._kept.append(wire)
        else:
            await wire.close()
        return answer

    async def begin(self, path: str, headers: str = "") -> "Wire":
        """An answer whose body comes for as long as it likes. Whoever has it closes it. Raises
        ``Unavailable``.
        """
        wire = await self._wire()
        try:
            await wire.send(self._head("GET", path, headers))
            await wire.head(None)
        except BaseException:
            await wire.close()
            raise
        return wire

    async def close(self) -> None:
        """Closes all connections. Whoever asks meanwhile, or later, hears ``Unavailable``."""
        self._closed = True
        # First: whoever reads or writes on one of them would keep it from being closed.
        await self._way.close()
        kept, self._kept = self._kept, []
        for wire in kept:
            await wire.close()

    def _head(self, method: str, path: str, headers: str) -> bytes:
        return f"{method} {self._prefix}{path} HTTP/1.1\r\nhost: {self._host}\r\n{headers}\r\n".encode()

    async def _wire(self) -> "Wire":
        if self._closed:
            raise Unavailable("the connection was given up")
        while self._kept:
            wire = self._kept.pop()
            if wire.fit():
                return wire
            await wire.close()
        try:
            line = await self._way.open(CALL_S)
        except TimeoutError:
            raise _late("connecting") from None
        return Wire(line)


class Wire:
    """One connection, with one request under way at most. ``status``: of the answer."""

    def __init__(self, line: Line) -> None:
        self.status = 0
        self.rests_since = 0.0
        self._line = line
        self._parser = httptools.HttpResponseParser(self)
        self._come: list[bytes] = []
        """Parts of the body that nobody has taken."""
        self._heard = False
        """Something of the answer came."""
        self._headed = False
        self._whole = False
        self._framed = False
        """The answer says where it ends; else the end of the connection does."""
        self._bare = 0
        """Bytes since the last of the body."""
        self._spoilt = False
        """Nothing more can be asked: the server said so, or something came that nobody asked for."""

    @property
    def reusable(self) -> bool:
        """Whether another request may follow this answer."""
        return not self._spoilt

    def fit(self) -> bool:
        """Whether one that rests may be used again."""
        return _now() - self.rests_since < KEEP_S and self._line.at_rest()

    async def send(self, request: bytes) -> None:
        """Begins a request. Raises ``Unavailable``."""
        self._heard = self._headed = self._whole = False
        self._come = []
        try:
            async with asyncio.timeout(CALL_S):
                await self._line.write(request)
        except TimeoutError:
            raise _late("sending") from None

    async def head(self, limit_s: float | None) -> None:
        """The status is there. ``limit_s``: for each part. Raises ``Unavailable``."""
        while not self._headed:
            await self._read(limit_s)

    async def rest(self) -> bytes:
        """The body. Raises ``Unavailable``: that is longer than ``MAX_ANSWER``, too."""
        while not self._whole:
            await self._read(CALL_S)
            if sum(map(len, self._come)) > MAX_ANSWER:
                raise Unavailable(f"the engine answered with more than {MAX_ANSWER} bytes")
        return self._taken()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body, as it comes. Raises ``Unavailable``."""
        while not self._whole or self._come:
            if not self._come:
                await self._read(None)
            if self._come:
                yield self._taken()

    async def close(self) -> None:
        """Gives it up. Raises nothing."""
        del self._parser  # they know each other, which only the collector would end
        await self._line.close()

    async def _read(self, limit_s: float | None) -> None:
        try:
            async with asyncio.timeout(limit_s):
                data = await self._line.read()
        except TimeoutError:
            raise _late("reading") from None
        if not data:
            self._end()
            return
        self._heard = True
        self._bare += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._spoilt = True
            if not self._whole:
                raise Unavailable(
                    f"what answers there does not go on in HTTP/1.1 ({type(error).__name__}: {error})"
                ) from None
        if self._bare > MAX_HEAD:
            raise Unavailable(f"the head of an answer has more than {MAX_HEAD} bytes")

    def _end(self) -> None:
        """The connection has ended."""
        if not self._heard:
            raise Unavailable(
                "the server hung up without an answer; if the engine has a certificate, its address begins "
                "with https://"
            )
        if self._framed or not self._headed:
            raise Unavailable("the connection ended in the middle of an answer")
        self._whole = self._spoilt = True

    def _taken(self) -> bytes:
        come, self._come = self._come, []
        return come[0] if len(come) == 1 else b"".join(come)

    # ------------------------------------------------------------ for the parser

    def on_message_begin(self) -> None:
        """The first byte of an answer."""
        self._spoilt = self._spoilt or self._whole
        self._framed = False

    def on_header(self, name: bytes, value: bytes) -> None:  # noqa: ARG002 - the parser's own
        """One header."""
        if name.lower() in {b"content-length", b"transfer-encoding"}:
            self._framed = True

    def on_headers_complete(self) -> None:
        """The head is whole."""
        status = self._parser.get_status_code()
        if status >= 200 and not self._whole:  # what comes before is no answer yet
            self.status = status
            self._headed = True
        self._bare = 0

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        if not self._whole:
            self._come.append(body)
        self._bare = 0

    def on_message_complete(self) -> None:
        """An answer is whole."""
        self._whole = self._headed
        self._spoilt = self._spoilt or not self._parser.should_keep_alive()  # later it does not know
        self._bare = 0


def _now() -> float:
    return asyncio.get_running_loop().time()


def _late(what: str) -> Unavailable:
    return Unavailable(f"no answer within {CALL_S:g} s (while {what}); is it the engine that listens there?")

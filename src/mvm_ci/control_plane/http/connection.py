"""One connection: bytes to requests, and answers to bytes. No task and no timer of its own; the server looks
at ``deadline`` now and then.

Requests that come before the one ahead is answered wait their turn, and nothing more is read meanwhile.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, Protocol, cast
from urllib.parse import unquote_to_bytes

import httptools
import structlog

from mvm_ci.control_plane.http.exchange import Disconnected, Exchange, Headers
from mvm_ci.control_plane.http.limits import MAX_HEAD, Limits

log = structlog.get_logger(__name__)

Application = Callable[[Exchange], Awaitable[None]]
_STATUS: Final = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_APART: Final = 64 << 10
"""A body of so many bytes is not copied to stand behind its head."""


class Owner(Protocol):
    """What a connection needs of its server."""

    limits: Limits
    date: bytes
    """The header with the present second."""
    stopping: bool
    tasks: set[asyncio.Task[None]]
    """Of all connections, those that are lost, too."""

    @property
    def application(self) -> Application: ...

    def joined(self, connection: "Connection") -> bool:
        """False if there are too many."""
        ...

    def left(self, connection: "Connection") -> None: ...

    def problem(self, status: int, detail: str) -> tuple[bytes, bytes]:
        """Body and media type of an error that the connection itself finds."""
        ...


class Connection(asyncio.Protocol):
    """See the module's docstring. Not to be confused with a worker's, which is another transport's."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._parser: httptools.HttpRequestParser | None = None
        self._transport: asyncio.Transport = None  # type: ignore[assignment] # set before anything else happens
        self._address = ""
        self._reading = True
        self._writable: asyncio.Future[None] | None = None
        self._coming: Exchange | None = None
        """Whose bytes are being read."""
        self._in_head = False
        self._events = 0
        """What the parser found: without a new one, it only gathers."""
        self._gathered = 0
        """Bytes since the last of them."""
        self._parsed = 0
        """Bytes of the request's target and headers so far."""
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._line: deque[Exchange] = deque()
        """Requests, the one that is being answered first."""
        self._closing = False
        self._deaf = False
        """Nothing that comes any more is a request."""
        self.deadline = math.inf
        """Until when the caller must have done what is expected of it, by the loop's clock."""

    # ------------------------------------------------------------ what happens to it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A caller is there."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._address = peer[0] if peer else ""
        self._parser = httptools.HttpRequestParser(self)
        if not self._owner.joined(self):
            self._refuse(503, "too many connections; try again later")
            return
        self.deadline = self._loop.time() + self._owner.limits.head_s

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._closing or self._deaf or self._parser is None:
            return
        events = self._events
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._deaf = True  # it is answered as if it had not asked for another protocol
        except httptools.HttpParserError as error:
            self._spoilt(str(error))
            return
        self._gathered = 0 if self._events != events else self._gathered + len(data)
        if max(self._gathered, self._parsed) > MAX_HEAD:
            self._refuse(431, f"a request's line and headers have at most {MAX_HEAD} bytes")
        else:
            self.flow()

    def eof_received(self) -> None:
        """The caller is gone, or sends no more, which nobody can tell apart: asyncio closes."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's own
        """The caller is gone."""
        self._closing = True
        self._parser = None
        self._owner.left(self)
        self._wake()
        for exchange in self._line:
            exchange.lose()

    def pause_writing(self) -> None:
        """The caller does not take what was sent."""
        self._writable = self._loop.create_future()
        self.deadline = self._loop.time() + self._owner.limits.send_s

    def resume_writing(self) -> None:
        """It took it."""
        self.deadline = math.inf
        self._wake()
        self._expect()
        self.flow()

    # ------------------------------------------------------------ what the parser finds

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._events += 1
        self._in_head = True
        self._parsed = 0
        self._url = b""
        self._headers = {}
        self._expect()

    def on_url(self, url: bytes) -> None:
        """A part of the request's target."""
        self._url += url
        self._parsed += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; one that comes behind a body says nothing here."""
        if self._in_head:
            self._headers[name.lower()] = value
        self._parsed += len(name) + len(value)

    def on_headers_complete(self) -> None:
        """The head is whole: the request can be answered."""
        parser = cast("httptools.HttpRequestParser", self._parser)
        self._events += 1
        self._in_head = False
        if self._parsed > MAX_HEAD:
            return
        exchange = Exchange(self, self._address)
        exchange.method = parser.get_method().decode("ascii")
        exchange.raw_path, exchange.query = _target(self._url)
        path = exchange.raw_path
        exchange.path = (unquote_to_bytes(path) if b"%" in path else path).decode(errors="replace")
        exchange.headers = self._headers
        exchange.version_1_0 = parser.get_http_version() == "1.0"
        exchange.keep_alive = parser.should_keep_alive() and not parser.should_upgrade()
        exchange.expects = self._headers.get(b"expect", b"").lower() == b"100-continue"
        self._coming = exchange
        self._line.append(exchange)
        if len(self._line) == 1:
            self._start(exchange)

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        self._events += 1
        if self._coming is not None and not self._coming.came(body):
            self._abort()

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._events += 1
        exchange, self._coming = self._coming, None
        if exchange is not None:
            exchange.complete()
            if exchange.answered:
                self._next()

    # ------------------------------------------------------------ what an exchange asks for

    @property
    def read_s(self) -> float:
        return self._owner.limits.read_s

    def flow(self) -> None:
        """Reads, or not: as the request that comes, those in line and the caller's own reading allow."""
        if self._closing:
            return
        coming = self._coming
        wanted = self._writable is None and (len(self._line) < 2 if coming is None else not coming.full)
        if wanted and not self._reading:
            self._reading = True
            self._transport.resume_reading()
        elif not wanted and self._reading:
            self._reading = False
            self._transport.pause_reading()

    def proceed(self) -> None:
        self._transport.write(_CONTINUE)

    def reply(self, exchange: Exchange, status: int, body: bytes, media: bytes, headers: Headers) -> None:
        if exchange.lost:
            return
        head = [_STATUS[status], b"content-type: ", media, b"\r\ncontent-length: %d\r\n" % len(body)]
        self._finish_head(exchange, head, headers)
        if exchange.method == "HEAD":
            self._transport.write(b"".join(head))
        elif len(body) < _APART:
            head.append(body)
            self._transport.write(b"".join(head))
        else:
            self._transport.write(b"".join(head))
            self._transport.write(body)
        self._answered(exchange)

    def begin(self, exchange: Exchange, media: bytes) -> None:
        if exchange.lost:
            raise Disconnected
        exchange.streaming = True
        head = [_STATUS[200], b"content-type: ", media, b"\r\ncache-control: no-store\r\n"]
        if exchange.version_1_0:
            exchange.keep_alive = False
        else:
            head.append(b"transfer-encoding: chunked\r\n")
        self._finish_head(exchange, head, ())
        self._transport.write(b"".join(head))

    async def piece(self, exchange: Exchange, data: bytes) -> None:
        if not data:
            return  # it would be the last
        framed = data if exchange.version_1_0 else b"%x\r\n%b\r\n" % (len(data), data)
        self._transport.write(framed)
        while self._writable is not None:
            await asyncio.shield(self._writable)

    def end(self, exchange: Exchange) -> None:
        exchange.streaming = False
        if exchange.lost:
            return
        if not exchange.version_1_0:
            self._transport.write(b"0\r\n\r\n")
        self._answered(exchange)

    # ------------------------------------------------------------ what the server does

    def expire(self) -> None:
        """The caller has not done in time what was expected of it."""
        if self._closing:
            self._abort()
        elif self._in_head and not self._line:
            self._refuse(408, f"a request's headers must come within {self._owner.limits.head_s:g} s")
        elif self._line or self._writable is not None:
            self._abort()
        else:
            self._close()

    def retire(self) -> None:
        """Closes as soon as nothing is under way."""
        if not self._line:
            self._close()

    # ------------------------------------------------------------

    def _start(self, exchange: Exchange) -> None:
        self.deadline = math.inf
        exchange.task = self._loop.create_task(self._run(exchange))
        self._owner.tasks.add(exchange.task)

    async def _run(self, exchange: Exchange) -> None:
        try:
            await self._owner.application(exchange)
        except asyncio.CancelledError:
            if not exchange.lost:
                self._abort()
            raise
        except Disconnected:
            pass
        except Exception:
            self._abort()
            log.exception("request_broken_off", path=exchange.path)
        else:
            if not exchange.answered and not exchange.lost:
                log.error("request_unanswered", path=exchange.path)
                self._abort()
        finally:
            if exchange.task is not None:
                self._owner.tasks.discard(exchange.task)

    def _finish_head(self, exchange: Exchange, head: list[bytes], headers: Headers) -> None:
        head += [b"%b: %b\r\n" % header for header in headers]
        if self._owner.stopping or exchange.expects:
            # The caller may or may not send the body that it was not told to.
            exchange.keep_alive = False
        if not exchange.keep_alive:
            head.append(b"connection: close\r\n")
        head += (self._owner.date, b"\r\n")

    def _answered(self, exchange: Exchange) -> None:
        exchange.answered = True
        if exchange.whole or exchange.expects:
            self._next()
        else:
            exchange.discard()
            self.flow()
            self._expect()

    def _next(self) -> None:
        """The first in line is over."""
        exchange = self._line.popleft()
        if not exchange.keep_alive:
            self._close()
        elif self._line:
            self._start(self._line[0])
            self.flow()
        elif self._owner.stopping:
            self._close()
        else:
            self.flow()
            self._expect()

    def _expect(self) -> None:
        """Sets what the caller has to do next, and by when."""
        limits = self._owner.limits
        if self._writable is not None:
            return
        if self._line:
            first = self._line[0]
            allowed = limits.read_s if first.answered and not first.whole else math.inf
        else:
            allowed = limits.head_s if self._in_head else limits.keep_alive_s
        self.deadline = self._loop.time() + allowed

    def _spoilt(self, reason: str) -> None:
        """What came is no request; those before it are answered all the same."""
        if self._line and self._coming is None:
            self._deaf = True
            self._line[-1].keep_alive = False
        else:
            self._refuse(400, f"this is no HTTP request: {reason}")

    def _refuse(self, status: int, detail: str) -> None:
        """An error of the connection itself, which ends it."""
        if self._line:
            self._abort()  # an answer here would be taken for that of the request ahead
            return
        body, media = self._owner.problem(status, detail)
        head = [_STATUS[status], b"content-type: ", media, b"\r\ncontent-length: %d\r\n" % len(body)]
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            head.append(b"retry-after: 1\r\n")
        head += [b"connection: close\r\n", self._owner.date, b"\r\n", body]
        self._transport.write(b"".join(head))
        self._close()

    def _close(self) -> None:
        self._closing = True
        self._transport.close()
        self.deadline = self._loop.time() + self._owner.limits.send_s

    def _abort(self) -> None:
        self._closing = True
        self._transport.abort()

    def _wake(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)


def _target(url: bytes) -> tuple[bytes, bytes]:
    """Path and query of a request's target, in whichever form it came."""
    if not url.startswith(b"/"):
        parsed = httptools.parse_url(url)
        return parsed.path or b"/", parsed.query or b""
    path, _, query = url.partition(b"?")
    return path, query

"""One connection: bytes to requests, and answers to bytes. No task and no timer of its own; the server looks
at ``deadline`` now and then.

Requests that come before the one ahead is answered wait their turn, and nothing more is read meanwhile.
"""

import asyncio
import math
from collections import deque
from typing import Final, cast
from urllib.parse import unquote_to_bytes

import httptools
import structlog

from mvm_ci.serving.exchange import Disconnected, Exchange, Headers
from mvm_ci.serving.framing import (
    CONTINUE,
    TOO_LONG,
    Unfit,
    check,
    fault,
    head,
    refusal,
    stream_head,
    target,
)
from mvm_ci.serving.limits import MAX_HEAD, PIPELINED
from mvm_ci.serving.owner import Owner

log = structlog.get_logger(__name__)

_APART: Final = 64 << 10  # bytes of a body that is not copied to stand behind its head


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
        self._ended = False
        """The caller has shut its side."""
        self.deadline = math.inf
        """Until when the caller must have done what is expected of it, by the loop's clock."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A caller is there."""
        self._transport = cast("asyncio.Transport", transport)
        self._address = (transport.get_extra_info("peername") or ("",))[0]
        self._parser = httptools.HttpRequestParser(self)
        if not self._owner.joined(self):
            self._refuse(503, "no more connections are taken now; try again later")
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
            self._refuse(*fault(error))
            return
        self._gathered = 0 if self._events != events else self._gathered + len(data)
        if self._gathered > MAX_HEAD:
            self._refuse(431, TOO_LONG)
        else:
            self.flow()

    def eof_received(self) -> bool:
        """The caller sends no more. It may still read: whole requests are answered. Whether it is gone only
        a write could show, so there are no answers in pieces any more.
        """
        if self._closing or self._coming is not None or not self._line or self._line[0].streaming:
            self._closing = True
            self.deadline = self._loop.time() + self._owner.limits.send_s
            return False  # asyncio closes, once what was written is taken
        self._ended = self._deaf = True
        self._line[-1].keep_alive = False
        return True

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
        self._wake()
        if self._closing:
            self.deadline = self._loop.time() + self._owner.limits.linger_s
            return
        if self._line and self._line[0].task is None:
            self._start(self._line[0])
        self._expect()
        self.flow()

    # ------------------------------------------------------------ what the parser finds

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if self._closing:
            raise Unfit(400, "the connection ends")
        self._events += 1
        self._in_head = True
        self._parsed = 0
        self._url = b""
        self._headers = {}
        self._expect()

    def on_url(self, url: bytes) -> None:
        """A part of the request's target."""
        self._url += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; one that comes behind a body says nothing here."""
        self._count(len(name) + len(value) + 4)
        if self._in_head:
            name = name.lower()
            before = self._headers.get(name)
            self._headers[name] = value if before is None else b"%b, %b" % (before, value)

    def on_headers_complete(self) -> None:
        """The head is whole: the request can be answered."""
        parser = cast("httptools.HttpRequestParser", self._parser)
        self._events += 1
        self._in_head = False
        if len(self._line) == PIPELINED:
            raise Unfit(400, "too many requests in line")
        check(self._headers)
        exchange = Exchange(self, self._address)
        exchange.method = parser.get_method().decode("ascii")
        exchange.raw_path, exchange.query = target(self._url)
        path = exchange.raw_path
        exchange.path = (unquote_to_bytes(path) if b"%" in path else path).decode(errors="replace")
        exchange.headers = self._headers
        exchange.version_1_0 = old = parser.get_http_version() != "1.1"
        exchange.keep_alive = not old and parser.should_keep_alive() and not parser.should_upgrade()
        exchange.expects = not old and self._headers.get(b"expect", b"").lower() == b"100-continue"
        self._coming = exchange
        self._line.append(exchange)
        if len(self._line) == 1:
            self._start(exchange)

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        self._events += 1
        if self._coming is not None and not self._coming.came(body):
            raise Unfit(413, "more than anybody reads")

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._events += 1
        exchange, self._coming = self._coming, None
        if exchange is not None:
            exchange.complete()
            if exchange.answered and not self._closing:
                self._next()

    # ------------------------------------------------------------ what an exchange asks for

    @property
    def read_s(self) -> float:
        return self._owner.limits.read_s

    def flow(self) -> None:
        """Reads, or not: as the request that comes, those in line and the caller's own reading allow."""
        if self._closing or self._ended:
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
        self._transport.write(CONTINUE)

    def reply(self, exchange: Exchange, status: int, body: bytes, media: bytes, headers: Headers) -> None:
        if exchange.lost or self._closing:
            return
        lines = head(status, media, len(body))
        self._finish_head(exchange, lines, headers)
        apart = len(body) >= _APART
        if exchange.method != "HEAD" and not apart:
            lines.append(body)
        self._transport.write(b"".join(lines))
        if exchange.method != "HEAD" and apart:
            self._transport.write(body)
        self._answered(exchange)

    def begin(
        self, exchange: Exchange, status: int, media: bytes, length: int | None, headers: Headers
    ) -> None:
        if self._ended:
            self.cut()
        if exchange.lost or self._closing:
            raise Disconnected
        exchange.streaming = True
        exchange.chunked = length is None and not exchange.version_1_0
        if length is None and not exchange.chunked:
            exchange.keep_alive = False
        lines = stream_head(status, media, length, chunked=exchange.chunked)
        self._finish_head(exchange, lines, headers)
        self._transport.write(b"".join(lines))

    async def piece(self, exchange: Exchange, data: bytes) -> None:
        if not data:
            return  # it would be the last
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data) if exchange.chunked else data)
        while self._writable is not None:
            await asyncio.shield(self._writable)

    def end(self, exchange: Exchange) -> None:
        exchange.streaming = False
        if exchange.lost or self._closing:
            return
        if exchange.chunked:
            self._transport.write(b"0\r\n\r\n")
        self._answered(exchange)

    # ------------------------------------------------------------ what the server does

    def expire(self) -> None:
        """The caller has not done in time what was expected of it."""
        if self._closing:
            self.cut()
        elif self._in_head and not self._line:
            self._refuse(408, f"a request's headers must come within {self._owner.limits.head_s:g} s")
        elif self._writable is not None:
            self.cut()
        elif self._line:
            self._close()
        else:
            self.retire()
            self.deadline = self._loop.time() + self._owner.limits.send_s  # for what was answered last

    def retire(self) -> None:
        """Closes if nothing is under way, as soon as what was answered is sent."""
        if self._closing or not self._line or self._line[0].answered:
            self._closing = True
            self._transport.close()

    def cut(self) -> None:
        """Closes at once; the caller sees that it is no regular end."""
        self._closing = True
        self._transport.abort()

    def _start(self, exchange: Exchange) -> None:
        if self._writable is not None:
            return  # an answer more would only be heaped up; it starts when the caller took the last
        self.deadline = math.inf
        exchange.task = self._loop.create_task(self._run(exchange))
        self._owner.tasks.add(exchange.task)

    async def _run(self, exchange: Exchange) -> None:
        try:
            await self._owner.application(exchange)
        except asyncio.CancelledError:
            if not exchange.lost:
                self.cut()
            raise
        except Disconnected:
            pass
        except Exception:
            self.cut()
            log.exception("request_broken_off", path=exchange.path)
        else:
            if not exchange.answered and not exchange.lost:
                log.error("request_unanswered", path=exchange.path)
                self.cut()
        finally:
            if exchange.task is not None:
                self._owner.tasks.discard(exchange.task)

    def _finish_head(self, exchange: Exchange, lines: list[bytes], headers: Headers) -> None:
        lines += [b"%b: %b\r\n" % header for header in headers]
        if self._owner.stopping or exchange.expects:
            # The caller may or may not send the body that it was not told to.
            exchange.keep_alive = False
        if not exchange.keep_alive:
            lines.append(b"connection: close\r\n")
        lines += (self._owner.date, b"\r\n")

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
        if not exchange.keep_alive or self._owner.stopping:
            self._close()
            return
        if self._line:
            self._start(self._line[0])
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

    def _count(self, size: int) -> None:
        self._parsed += size
        if self._parsed > MAX_HEAD:
            raise Unfit(431, TOO_LONG)

    def _refuse(self, status: int, detail: str) -> None:
        """An error of the connection itself, which ends it, but not before what came ahead is answered."""
        if self._closing:
            return
        coming, self._coming = self._coming, None
        if coming is not None and (coming.answered or coming.streaming):
            self._close() if coming.answered else self.cut()
            return
        if coming is not None:
            self._line.pop()
            coming.lose()
        if self._line:
            # An answer here would be taken for that of the request ahead.
            self._deaf = True
            self._line[-1].keep_alive = False
            return
        body, media = self._owner.problem(status, detail)
        self._transport.write(refusal(status, media, body, self._owner.date))
        self._close()

    def _close(self) -> None:
        """Ends the caller's answers, then waits for its own end: if bytes that nobody read were left, the
        kernel would reset the connection, and the last answer could be lost.
        """
        self._closing = True
        if self._ended:
            self._transport.close()
        else:
            self._transport.write_eof()
            if not self._reading:
                self._reading = True
                self._transport.resume_reading()
        limits = self._owner.limits
        waits = limits.linger_s if self._writable is None else limits.send_s
        self.deadline = self._loop.time() + waits

    def _wake(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

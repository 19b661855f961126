"""An application under the HTTP server, and a caller that speaks byte by byte over a real socket."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from mvm_ci.serving.exchange import BodyLate, BodyTooLarge, Exchange
from mvm_ci.serving.limits import Limits
from mvm_ci.serving.server import ApiServer

LIMIT = 1_000
PATIENCE_S = 30.0
SHORT = Limits(head_s=0.2, keep_alive_s=0.2, read_s=0.2, send_s=0.2, linger_s=0.2)
GET = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"


class Echo:
    """Answers with what it was asked; ``/held`` when the test says so, ``/pieces`` in pieces."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.started = asyncio.Event()
        self.over = asyncio.Event()
        self.ended: list[str] = []
        self.pieces: list[bytes] = []
        self.more = asyncio.Event()

    async def __call__(self, exchange: Exchange) -> None:
        self.started.set()
        special = {
            "/fails": self._fail,
            "/pieces": self._pieces,
            "/endless": self._endless,
            "/unread": self._refuse,
            "/large": self._large,
            "/header": self._header,
            "/quiet": self._quiet,
            "/taken": self._take,
            "/known": self._known,
        }
        try:
            await special.get(exchange.path, self._echo)(exchange)
        finally:
            self.ended.append(exchange.path)
            self.over.set()

    async def _echo(self, exchange: Exchange) -> None:
        if exchange.path == "/held":
            await self.go.wait()
        try:
            body = await exchange.body(LIMIT)
        except BodyTooLarge as error:
            exchange.reply(413, repr(error.announced).encode(), b"text/plain")
        except BodyLate:
            exchange.reply(408, b"late", b"text/plain")
        else:
            said = f"{exchange.method} {exchange.path} ".encode() + body
            exchange.reply(200, said, b"text/plain")

    async def _header(self, exchange: Exchange) -> None:
        exchange.reply(200, exchange.headers[b"x-a"], b"text/plain")

    async def _quiet(self, exchange: Exchange) -> None:
        exchange.begin(b"text/plain")
        await asyncio.Event().wait()

    async def _take(self, exchange: Exchange) -> None:
        """Takes a body as it comes; each piece when the test says so."""
        taken = 0
        try:
            async for piece in exchange.pieces(int(exchange.query or b"1000")):
                await self.go.wait()
                self.pieces.append(piece)
                self.more.set()
                taken += len(piece)
        except BodyTooLarge as error:
            exchange.reply(413, repr(error.announced).encode(), b"text/plain")
        except BodyLate:
            exchange.reply(408, b"late", b"text/plain")
        else:
            exchange.reply(200, b"%d" % taken, b"text/plain")

    async def _known(self, exchange: Exchange) -> None:
        """An answer in pieces whose length is known."""
        length = sum(map(len, self.pieces))
        exchange.begin(b"text/plain", 206, length, ((b"x-a", b"b"),))
        for piece in self.pieces:
            await exchange.piece(piece)
        exchange.end()

    async def _fail(self, exchange: Exchange) -> None:
        raise ValueError(exchange.path)

    async def _endless(self, exchange: Exchange) -> None:
        exchange.begin(b"text/plain")
        while True:
            await exchange.piece(b"x" * (1 << 20))

    async def _refuse(self, exchange: Exchange) -> None:
        exchange.reply(403, b"no", b"text/plain")

    async def _large(self, exchange: Exchange) -> None:
        exchange.reply(200, b"y" * (int(exchange.query or b"8") << 20), b"text/plain")

    async def _pieces(self, exchange: Exchange) -> None:
        exchange.begin(b"text/plain")
        for piece in self.pieces:
            await exchange.piece(piece)
        exchange.end()


class Caller:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self, *, body: bool = True) -> tuple[int, dict[bytes, bytes], bytes]:
        async with asyncio.timeout(PATIENCE_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
            first, *lines = head[:-4].split(b"\r\n")
            headers = dict(line.split(b": ", 1) for line in lines)
            length = int(headers.get(b"content-length", b"0")) if body else 0
            return int(first.split()[1]), headers, await self._reader.readexactly(length)

    async def rest(self) -> bytes:
        """All bytes until the server closes."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.read()

    async def closed(self) -> bool:
        with contextlib.suppress(ConnectionError):
            return await self.rest() == b""
        return True


Dial = Callable[..., Awaitable[Caller]]


async def connect(server: ApiServer, stack: contextlib.AsyncExitStack) -> Caller:
    port = int(server.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    stack.callback(writer.close)
    return Caller(reader, writer)


async def send_for_ever(caller: Caller, data: bytes) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            caller.send(data)
            await caller.writer.drain()
            await asyncio.sleep(0.001)  # a drain alone need not let anybody else run

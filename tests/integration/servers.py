"""Web servers for tests: each answers every connection's one request with what a function makes of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

Reply = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Answers each connection's one request with what ``reply`` makes of it."""

    def __init__(self, reply: Callable[[bytes], Reply]) -> None:
        self.reply = reply
        self.seen: list[bytes] = []
        self.handlers: set[asyncio.Task[None]] = set()
        self.port = 0
        self.release = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.handlers.add(task)
        try:
            await self._serve(reader, writer)
        finally:
            writer.close()
            self.handlers.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length:")
                ),
                0,
            )
            request = head + (await reader.readexactly(length) if length <= 1 << 20 else b"")
            self.seen.append(request)
            answer = self.reply(request)
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)


@contextlib.asynccontextmanager
async def serving(reply: Callable[[bytes], Reply]) -> AsyncIterator[Server]:
    server = Server(reply)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.release.set()
        listener.close()
        await asyncio.gather(*server.handlers, return_exceptions=True)
        await listener.wait_closed()


def ok(body: bytes = b"hello", extra: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), extra, body)


def redirect(to: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()

"""A web server of the benchmark's own that counts what reaches it: the witness of effects."""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any, cast

import uvloop

from benchmarks.client import ANSWER_S

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Effects:
    """``counts``: requests by path. ``address``: ``host:port``."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.address = ""

    @property
    def repeated(self) -> int:
        """Requests beyond the first of each path."""
        return self.counts.total() - len(self.counts)


class _Conversation(asyncio.Protocol):
    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self._seen = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._seen += data
        # Requests of these guests have no body.
        while (end := self._seen.find(b"\r\n\r\n")) >= 0:
            self._effects.counts[self._seen.split(b" ", 2)[1].decode()] += 1
            self._seen = self._seen[end + 4 :]
            self._transport.write(_ANSWER)


@contextlib.contextmanager
def counted_effects() -> Iterator[Effects]:
    """A server on loopback until the block ends."""
    effects = Effects()
    listening, ended = threading.Event(), asyncio.Event()
    loop = uvloop.new_event_loop()

    async def serve() -> None:
        server: Any = await loop.create_server(lambda: _Conversation(effects), "127.0.0.1", 0)
        effects.address = "{}:{}".format(*server.sockets[0].getsockname()[:2])
        listening.set()
        await ended.wait()
        server.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    try:
        if not listening.wait(ANSWER_S):
            raise TimeoutError("the witness does not listen")
        yield effects
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(timeout=ANSWER_S)
        loop.close()

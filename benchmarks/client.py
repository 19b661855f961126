"""Two clients that cost less than what they measure: one blocking connection, and many on one event loop.

Both send requests that were made before, over connections that are kept, and read only what they need of an
answer.
"""

import asyncio
import json
import socket
from collections.abc import Iterator, Sequence
from typing import Any, Final, cast
from urllib.parse import urlsplit

import uvloop

ANSWER_S: Final = 120.0
"""For one answer; nothing here waits longer."""
_LENGTH: Final = b"content-length: "
_END: Final = b"\r\n\r\n"
_READ: Final = 1 << 18


class RequestFailed(Exception):
    """An answer that was none, or none that was asked for."""


class Address:
    """Where the API is, and the token for it."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        self._lines = f"host: {self.host}\r\nauthorization: Bearer {token}\r\n"

    def request(self, method: str, path: str, body: bytes = b"") -> bytes:
        """All bytes of one request."""
        head = (
            f"{method} {path} HTTP/1.1\r\n{self._lines}content-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


class Answer:
    """Gathers the bytes of one answer after the other."""

    __slots__ = ("_buffer", "_need")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._need = 0

    def feed(self, data: bytes) -> bytes | None:
        """The body, once it is whole. Raises ``RequestFailed`` for any status but a success."""
        buffer = self._buffer
        buffer += data
        if not self._need:
            head = buffer.find(_END)
            if head < 0:
                return None
            at = buffer.find(_LENGTH, 0, head)
            if at < 0:
                raise RequestFailed(f"an answer without a length: {bytes(buffer[:200])!r}")
            at += len(_LENGTH)
            self._need = head + len(_END) + int(buffer[at : buffer.find(b"\r", at)])
        if len(buffer) < self._need:
            return None
        whole = bytes(buffer)
        buffer.clear()
        self._need = 0
        if whole[9:12] != b"200":
            raise RequestFailed(whole.decode(errors="replace")[:1000])
        return whole[whole.index(_END) + len(_END) :]


class Client:
    """One blocking connection."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._socket = socket.create_connection((address.host, address.port), timeout=ANSWER_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answer = Answer()

    def send(self, request: bytes) -> bytes:
        """The body of the answer to ``request``."""
        self._socket.sendall(request)
        body = None
        while body is None:
            data = self._socket.recv(_READ)
            if not data:
                raise RequestFailed("the connection was closed")
            body = self._answer.feed(data)
        return body

    def get(self, path: str) -> Any:  # noqa: ANN401 (JSON)
        """The JSON that stands at ``path``."""
        return json.loads(self.send(self._address.request("GET", path)))

    def post(self, path: str, body: bytes) -> Any:  # noqa: ANN401 (JSON)
        """The JSON that answers ``body``."""
        return json.loads(self.send(self._address.request("POST", path, body)))

    def close(self) -> None:
        """Closes the connection."""
        self._socket.close()


class _Lane(asyncio.Protocol):
    """One connection of a load: the next request follows the answer."""

    def __init__(self, requests: Iterator[tuple[bytes, int]], done: "asyncio.Future[None]") -> None:
        self._requests = requests
        self._done = done
        self._answer = Answer()
        self._expected = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none by inheritance.
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        try:
            body = self._answer.feed(data)
            if body is not None:
                check_completed(body, self._expected)
                self._next()
        except RequestFailed as error:
            self._fail(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(RequestFailed(f"the connection was closed: {exc}"))

    def _next(self) -> None:
        assert self._transport is not None
        request = next(self._requests, None)
        if request is None:
            if not self._done.done():
                self._done.set_result(None)
            self._transport.close()
            return
        data, self._expected = request
        self._transport.write(data)

    def _fail(self, error: RequestFailed) -> None:
        if not self._done.done():
            self._done.set_exception(error)
        if self._transport is not None:
            self._transport.close()


def check_completed(body: bytes, jobs: int) -> None:
    """Raises ``RequestFailed`` unless the answer shows that ``jobs`` jobs completed (0: is not asked)."""
    if jobs and body.count(b'"state":"completed"') != jobs:
        raise RequestFailed(f"not all of {jobs} jobs completed: {body[:1000]!r}")


def load(address: Address, requests: Sequence[tuple[bytes, int]], connections: int) -> None:
    """Sends all requests (bytes, jobs that its answer must show completed); one under way a connection."""
    uvloop.run(_load(address, requests, connections))


async def _load(address: Address, requests: Sequence[tuple[bytes, int]], connections: int) -> None:
    loop = asyncio.get_running_loop()
    shared = iter(requests)
    lanes: list[asyncio.Future[None]] = [loop.create_future() for _ in range(connections)]
    async with asyncio.timeout(ANSWER_S):
        for done in lanes:
            await loop.create_connection(lambda done=done: _Lane(shared, done), address.host, address.port)  # type: ignore[misc]
        await asyncio.gather(*lanes)

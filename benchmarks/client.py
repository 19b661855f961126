"""Two clients that cost less than what they measure: one blocking connection, and the many of the load
generator.

Both send requests that were made before, over connections that are kept.
"""

import asyncio
import json
import socket
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import uvloop

from mvm_ci.loadtest.channel import Channel
from mvm_ci.loadtest.fleet import Api

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
        self.api = Api(url=url, token=token)
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


def check_completed(body: bytes, jobs: int) -> None:
    """Raises ``RequestFailed`` unless the answer shows that ``jobs`` jobs completed (0: is not asked)."""
    if jobs and body.count(b'"state":"completed"') != jobs:
        raise RequestFailed(f"not all of {jobs} jobs completed: {body[:1000]!r}")


def load(address: Address, requests: Sequence[tuple[bytes, int]], connections: int) -> None:
    """Sends all requests (bytes, jobs that its answer must show completed); one under way a connection."""
    uvloop.run(_load(address, requests, connections))


async def _load(address: Address, requests: Sequence[tuple[bytes, int]], connections: int) -> None:
    shared = iter(requests)

    async def lane(channel: Channel) -> None:
        for request, expected in shared:
            check_completed(await channel.send(request), expected)

    async with Channel(address.api, connections=connections, answer_s=ANSWER_S) as channel:
        await asyncio.gather(*[lane(channel) for _ in range(connections)])

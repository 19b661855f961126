"""Requests to the API at little cost: connections of HTTP/1.1 that are kept, requests that are only bytes."""

import asyncio
import ssl
import time
from collections import deque
from types import TracebackType
from typing import Final, Self, cast
from urllib.parse import urlsplit

import httptools
import httpx

from mvm_ci.client.problems import error_of
from mvm_ci.domain.errors import BadInput, ProtocolError, Unavailable
from mvm_ci.loadtest.fleet import Api
from mvm_ci.serving.limits import affordable

CONNECT_S: Final = 10.0
_LOOK_S: Final = 1.0
"""Between two looks at who has waited too long: a timer for every request would cost more than that."""
_IDLE_S: Final = 30.0
"""After so long a connection is closed. Servers and proxies do that later, and then a request could be on its
way.
"""
_JSON: Final = "application/json"


class Channel:
    """Opens connections as it needs them, ``connections`` at most (fewer, if the process may not have so many
    files open), and keeps them; those who come when all are in use wait in line. Raises ``BadInput`` for an
    address that is none.
    """

    def __init__(self, api: Api, *, connections: int, answer_s: float) -> None:
        """``answer_s``: for one answer, give or take a second."""
        self.wanted = connections
        self.connections = affordable(connections)
        """That it may have."""
        self.answered_s = time.perf_counter()
        """When the last answer came, of whatever kind; by this process's performance counter."""
        self.url = api.url
        self._answer_s = answer_s
        self._host, self._port, self._prefix = _address(api.url)
        # As the client of the API does it: else one of the two would get through, and not the other.
        secure = api.url.startswith("https:")
        self._tls = httpx.create_ssl_context(trust_env=False) if secure else None
        lines = [f"host: {urlsplit(api.url).netloc.rpartition('@')[2]}", f"authorization: Bearer {api.token}"]
        if api.namespace is not None:
            lines.append(f"x-namespace: {api.namespace}")
        self._lines = "".join(f"{line}\r\n" for line in lines)
        self._free: list[_Wire] = []
        self._open: set[_Wire] = set()
        self._opening = 0
        self._line: deque[asyncio.Future[_Wire | None]] = deque()
        self._looking: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._look()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._looking is not None:
            self._looking.cancel()
        for wire in list(self._open):
            wire.close()

    def request(self, method: str, path: str, body: bytes = b"", media: str = _JSON) -> bytes:
        """All bytes of a request, which can be sent any number of times."""
        head = (
            f"{method} {self._prefix}{path} HTTP/1.1\r\n{self._lines}content-type: {media}\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    async def send(self, request: bytes) -> bytes:
        """The body of the answer. Raises the error that the API's problem stands for, and ``Unavailable`` if
        the API cannot be reached, went away, or does not answer in time. Nothing is sent twice.
        """
        wire = self._free.pop() if self._free else await self._other()
        try:
            status, body = await wire.ask(request, time.perf_counter() + self._answer_s)
        except asyncio.CancelledError:
            wire.close()  # an answer that nobody waits for would be taken for that of the next request
            raise
        finally:
            self._hand_on(wire)
        self.answered_s = time.perf_counter()
        if status != 200:
            self._check(status, body, wire.retry_after)
        return body

    # ------------------------------------------------------------ for its wires

    def lost(self, wire: "_Wire") -> None:
        """A connection is closed."""
        self._open.discard(wire)
        if wire in self._free:
            self._free.remove(wire)

    # ------------------------------------------------------------

    async def _other(self) -> "_Wire":
        """A connection when none is free."""
        if len(self._open) + self._opening >= self.connections:
            place: asyncio.Future[_Wire | None] = asyncio.get_running_loop().create_future()
            self._line.append(place)
            try:
                wire = await place
            except asyncio.CancelledError:
                if place.done() and not place.cancelled():
                    self._hand_on(place.result())
                raise
            if wire is not None:
                return wire
        self._opening += 1
        try:
            wire = await self._connect()
        except BaseException:
            self._opening -= 1
            self._hand_on(None)
            raise
        self._opening -= 1
        self._open.add(wire)
        return wire

    def _hand_on(self, wire: "_Wire | None") -> None:
        """A connection, or None: the room for one, is free for the next in line."""
        if wire is not None and wire.closed:
            wire = None
        while self._line:
            place = self._line.popleft()
            if not place.done():
                place.set_result(wire)
                return
        if wire is not None:
            wire.idle_s = time.perf_counter()
            self._free.append(wire)

    async def _connect(self) -> "_Wire":
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_S):
                _, wire = await loop.create_connection(
                    lambda: _Wire(self), self._host, self._port, ssl=self._tls
                )
        except TimeoutError:
            raise Unavailable(f"cannot reach {self.url}: no connection within {CONNECT_S:g} s") from None
        except (OSError, ssl.SSLError) as error:
            raise Unavailable(f"cannot reach {self.url}: {error.strerror or error}") from None
        return wire

    def _check(self, status: int, body: bytes, retry_after: str) -> None:
        if status >= 400:
            headers = {"retry-after": retry_after} if retry_after else {}
            raise error_of(httpx.Response(status, headers=headers), body, self.url)
        if status >= 300:
            raise ProtocolError(f"{self.url} redirects; give the address of the control plane itself")

    def _look(self) -> None:
        now = time.perf_counter()
        for wire in [one for one in self._open if one.deadline < now]:
            wire.fail(Unavailable(f"{self.url} has not answered within {self._answer_s:g} s"))
        # The last one used is the next to be used: the first has been idle for longest.
        while self._free and self._free[0].idle_s < now - _IDLE_S:
            self._free[0].close()
        self._looking = asyncio.get_running_loop().call_later(_LOOK_S, self._look)


class _Wire(asyncio.Protocol):
    """One connection, with one request under way at most."""

    def __init__(self, channel: Channel) -> None:
        self.closed = False
        self.deadline = float("inf")
        self.idle_s = 0.0
        """Since when it is free."""
        self.retry_after = ""
        self._channel = channel
        self._transport: asyncio.Transport = None  # type: ignore[assignment] # set before anything else happens
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._body: list[bytes] = []

    async def ask(self, request: bytes, deadline: float) -> tuple[int, bytes]:
        """Status and body. Raises ``Unavailable``, ``ProtocolError``."""
        self._answer = asyncio.get_running_loop().create_future()
        self.deadline = deadline
        if self.closed:
            self._gone(None)
        else:
            self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """At once."""
        self.closed = True
        self._transport.abort()
        self._channel.lost(self)

    def fail(self, error: Exception) -> None:
        """Whoever waits is told; nothing more is asked on this connection."""
        self.deadline = float("inf")
        self.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.fail(ProtocolError(f"{self._channel.url} answers what is no HTTP/1.1: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """It is no more."""
        self._gone(exc)

    def on_message_begin(self) -> None:
        """The first byte of an answer."""
        self._body = []
        self.retry_after = ""

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        if name.lower() == b"retry-after":
            self.retry_after = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """An answer is whole."""
        self.deadline = float("inf")
        status = self._parser.get_status_code()
        if status < 200:
            return
        if not self._parser.should_keep_alive():
            self.close()
        if self._answer is not None and not self._answer.done():
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self._answer.set_result((status, body))

    def _gone(self, error: Exception | None) -> None:
        why = f": {error}" if error is not None else ""
        self.fail(Unavailable(f"{self._channel.url} closed the connection before it answered{why}"))


def _address(url: str) -> tuple[str, int, str]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise BadInput(f"{url!r} is no address of an API; one is like http://127.0.0.1:3020")
    return parts.hostname, port or (443 if parts.scheme == "https" else 80), parts.path.rstrip("/")

"""The HTTP server: connections on one socket, and streams of peers, inside this process and event loop."""

import asyncio
import contextlib
import socket
import ssl
from email.utils import formatdate
from typing import Final

import structlog

from mvm_ci.domain.errors import Misconfigured
from mvm_ci.ports.transport import Stream
from mvm_ci.serving.connection import Connection
from mvm_ci.serving.limits import Limits, affordable
from mvm_ci.serving.owner import Application, Served
from mvm_ci.serving.problems import PROBLEM, problem
from mvm_ci.serving.stream_transport import StreamTransport

log = structlog.get_logger(__name__)

BACKLOG: Final = 2_048
LOOK_S: Final = 1.0
"""Between two looks at what is overdue."""
_API: Final = "the API"
_CUT_S: Final = 2.0
"""For requests that were cut off to notice, and for answers to leave when no time is left."""


class ApiServer:
    """Serves one application on one TCP socket. ``stop_s``: for requests under way when it stops; ``tls``:
    its certificate and key, loaded; ``what``: how messages call it.
    """

    def __init__(
        self,
        application: Application,
        host: str,
        port: int,
        stop_s: float,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
        what: str = _API,
    ) -> None:
        self.application = application
        self.limits = limits or Limits()
        self.date = b""
        self.stopping = False
        self.tasks: set[asyncio.Task[None]] = set()
        self._tls = tls
        self._what = what
        self._host = host
        self._port = port
        self._stop_s = stop_s
        self._most = affordable(self.limits.connections)
        self._connections: set[Served] = set()
        self._streams = 0
        """Of them, those that are peers' streams."""
        self._empty = asyncio.Event()
        """No connection is left."""
        self._server: asyncio.Server | None = None
        self._looking: asyncio.Task[None] | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """Where it listens, once it does."""
        if not self._url:
            raise RuntimeError("the server is not started")
        return self._url

    async def start(self) -> None:
        """Returns when it listens. Raises ``Misconfigured`` if it cannot."""
        listening = await listen(self._host, self._port, self._what)
        host, port = listening.getsockname()[:2]
        scheme = "http" if self._tls is None else "https"
        self._url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
        self.open_to_streams()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self), sock=listening, backlog=BACKLOG, ssl=self._tls
        )

    def open_to_streams(self) -> None:
        """Peers' streams can be served; ``start`` does this, too."""
        self._set_date()
        self._looking = asyncio.create_task(self._look(), name="api-connections")

    async def stop(self) -> None:
        """Takes no more requests, lets those under way end and their answers be taken, closes everything."""
        if self._looking is None:
            return
        loop = asyncio.get_running_loop()
        until = loop.time() + self._stop_s
        self.stopping = True
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.retire()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=self._stop_s)
        left = list(self.tasks)
        if left:
            log.warning("requests_cut_off", requests=len(left))
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=_CUT_S)
        for connection in list(self._connections):
            connection.retire()
        await self._emptied(max(until - loop.time(), _CUT_S))
        for connection in list(self._connections):
            connection.cut()
        await self._emptied(_CUT_S)
        self._looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._looking
        self._server = self._looking = None

    async def serve_stream(self, stream: Stream, address: str) -> None:
        """Serves a peer's stream as a connection, to its end. ``address``: the peer's, for people. Breaks it
        off if the server stops, or if such streams have half of its connections: who comes over TCP is not to
        pay for them.
        """
        if self.stopping or self._streams >= self._most // 2:
            await stream.reset()
            return
        self._streams += 1
        try:
            await StreamTransport(stream, Connection(self), address).run()
        finally:
            self._streams -= 1

    @property
    def open(self) -> int:
        """Connections, those that are about to end, too."""
        return len(self._connections)

    # ------------------------------------------------------------ for its connections

    def joined(self, connection: Served) -> bool:
        """False if there are too many, or the server stops."""
        self._connections.add(connection)
        return len(self._connections) <= self._most and not self.stopping

    def left(self, connection: Served) -> None:
        """It is closed."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def problem(self, status: int, detail: str) -> tuple[bytes, bytes]:
        """Body and media type of an error that a connection itself finds."""
        code = {431: "too-large", 503: "unavailable"}.get(status, "bad-input")
        return problem(status, code, detail), PROBLEM

    # ------------------------------------------------------------

    async def _emptied(self, limit_s: float) -> None:
        if self._connections:
            self._empty.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), limit_s)

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_S)
            self._set_date()
            now = loop.time()
            for connection in [one for one in self._connections if one.deadline < now]:
                connection.expire()

    def _set_date(self) -> None:
        self.date = f"date: {formatdate(usegmt=True)}\r\n".encode()


async def listen(host: str, port: int, what: str = _API) -> socket.socket:
    """A listening socket. Raises ``Misconfigured``, naming the address, if there can be none."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise Misconfigured(f"{what} cannot listen on {host}:{port}: {error.strerror}") from None
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        reason = error.strerror or str(error)
        raise Misconfigured(f"{what} cannot listen on {host}:{port}: {reason}; choose another port") from None
    return listening

"""The HTTP server: uvicorn inside this process and event loop."""

import asyncio
import socket
from functools import partial
from typing import Any, Final

import structlog
import uvicorn

from mvm_ci.control_plane.http_bounds import BoundedHttp, Doorkeeper
from mvm_ci.control_plane.http_limits import HttpLimits, affordable
from mvm_ci.domain.errors import Misconfigured

log = structlog.get_logger(__name__)

BACKLOG: Final = 2_048
_LONGER_S: Final = 2.0
_LIMITS: Final = HttpLimits()


class ApiServer:
    """Serves one ASGI application on one TCP socket. ``stop_s``: for requests under way when it stops."""

    def __init__(
        self,
        application: Any,  # noqa: ANN401 (ASGI)
        host: str,
        port: int,
        stop_s: float,
        limits: HttpLimits = _LIMITS,
    ) -> None:
        self._host = host
        self._port = port
        self._stop_s = stop_s
        self._task: asyncio.Task[None] | None = None
        self._socket: socket.socket | None = None
        door = Doorkeeper(affordable(limits.connections))
        config = uvicorn.Config(
            application,
            http=partial(BoundedHttp, limits, door),  # type: ignore[arg-type]  # it is only called
            ws="none",
            lifespan="off",
            interface="asgi3",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=limits.idle_s,
            timeout_graceful_shutdown=max(1, round(stop_s)),
        )
        self._server = uvicorn.Server(config)

    @property
    def url(self) -> str:
        """Where it listens, once it does."""
        if self._socket is None:
            raise RuntimeError("the server is not started")
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def start(self) -> None:
        """Returns when it listens. Raises ``Misconfigured`` if it cannot."""
        self._socket = await listen(self._host, self._port)
        # Step by step instead of serve(), which would take the process's signals and exit it on errors.
        self._server.config.load()
        self._server.lifespan = self._server.config.lifespan_class(self._server.config)
        await self._server.startup(sockets=[self._socket])
        self._task = asyncio.create_task(self._server.main_loop())

    async def stop(self) -> None:
        """Takes no more requests, lets those under way end, closes the socket."""
        if self._task is None:
            return
        self._server.should_exit = True
        task, self._task = self._task, None
        try:
            async with asyncio.timeout(self._stop_s + _LONGER_S):
                await task
                await self._server.shutdown(sockets=[self._socket] if self._socket is not None else [])
        except TimeoutError:
            log.warning("requests_cut_off")
        finally:
            if self._socket is not None:
                self._socket.close()


async def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ``Misconfigured``, naming the address, if there can be none."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise Misconfigured(f"the API cannot listen on {host}:{port}: {error.strerror}") from None
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
        raise Misconfigured(
            f"the API cannot listen on {host}:{port}: {reason}; choose another port"
        ) from None
    return listening

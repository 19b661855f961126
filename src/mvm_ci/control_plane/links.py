"""The peers' way in: accepts connections, of workers and of those who call the API, and holds each one's
conversation.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from mvm_ci.control_plane.engine_door import EngineDoor
from mvm_ci.control_plane.worker_link import WorkerLink
from mvm_ci.domain.errors import Unavailable
from mvm_ci.ports.transport import Connection, Endpoint
from mvm_ci.serving.peer_caller import PeerCaller
from mvm_ci.wire import http
from mvm_ci.wire.messages import CLOSE_DONE, CLOSE_REFUSED, CLOSE_SILENT

log = structlog.get_logger(__name__)

MAX_WORKERS: Final = 10_000
MAX_CALLERS: Final = 250
"""Connections of peers that call the API; anybody with a ticket can have one, and workers are not to pay for
it: those that call the engine, which have a session, are counted apart.
"""
MAX_OF_PEER: Final = 4
"""Connections of one key that are no worker's."""
STOP_S: Final = 5.0
"""For the connections to end when the control plane stops."""


class PeerLinks:
    """All connections of one endpoint, which is not ours to close."""

    def __init__(
        self,
        endpoint: Endpoint,
        worker: Callable[[Connection], WorkerLink],
        door: EngineDoor,
    ) -> None:
        self._endpoint = endpoint
        self._worker = worker
        self.door = door
        self._workers: dict[asyncio.Task[None], WorkerLink] = {}
        self._callers: dict[asyncio.Task[None], Connection] = {}

    async def run(self) -> None:
        """Accepts until the endpoint is closed or this is cancelled."""
        while True:
            try:
                connection = await self._endpoint.accept()
            except Unavailable:
                log.info("endpoint_closed")
                return
            calls = connection.protocol in {http.ALPN, http.ENGINE_ALPN}
            refusal = self.door.refusal(connection)
            if refusal is not None:
                log.warning("caller_refused", peer=connection.peer, reason=refusal)
                await connection.close(CLOSE_REFUSED, refusal)
            elif self._full(connection, calls=calls):
                log.warning("too_many_connections", peer=connection.peer, calls=calls)
                await connection.close(CLOSE_SILENT, "too many connections; try again later")
            elif calls:
                self._serve_caller(connection)
            else:
                self._serve_worker(connection)

    async def stop(self) -> None:
        """Closes every connection, and waits until what workers reported on them is stored."""
        for link in self._workers.values():
            link.close(CLOSE_DONE, "the control plane stops; connect again")
        for caller in self._callers:
            caller.cancel()
        tasks = {*self._workers, *self._callers}
        if tasks:
            _, slow = await asyncio.wait(tasks, timeout=STOP_S)
            for task in slow:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _full(self, connection: Connection, *, calls: bool) -> bool:
        if not calls:
            return len(self._workers) >= MAX_WORKERS
        callers = self._callers.values()
        if sum(caller.peer == connection.peer for caller in callers) >= MAX_OF_PEER:
            return True
        alike = sum(caller.protocol == connection.protocol for caller in callers)
        return connection.protocol == http.ALPN and alike >= MAX_CALLERS

    def _serve_worker(self, connection: Connection) -> None:
        link = self._worker(connection)
        task = asyncio.create_task(link.run())
        self._workers[task] = link
        task.add_done_callback(self._over)

    def _serve_caller(self, connection: Connection) -> None:
        task = asyncio.create_task(PeerCaller(connection, self.door.served(connection)).run())
        self._callers[task] = connection
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._workers.pop(task, None)
        self._callers.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            log.error("connection_failed", exc_info=task.exception())

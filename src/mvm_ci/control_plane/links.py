"""The workers' way in: accepts connections and holds each one's conversation."""

import asyncio
from typing import Final

import structlog

from mvm_ci.control_plane.transfers import Transfers
from mvm_ci.control_plane.worker_link import WorkerLink
from mvm_ci.domain.errors import Unavailable
from mvm_ci.lifecycle.dispatch import Dispatcher
from mvm_ci.lifecycle.guest_asks import GuestAsks
from mvm_ci.lifecycle.record import Recorder
from mvm_ci.lifecycle.sessions import Sessions
from mvm_ci.ports.transport import Connection, Endpoint
from mvm_ci.wire.messages import CLOSE_DONE, CLOSE_SILENT

log = structlog.get_logger(__name__)

MAX_CONNECTIONS: Final = 10_000
STOP_S: Final = 5.0
"""For the connections to end when the control plane stops."""


class WorkerLinks:
    """All connections of one endpoint, which is not ours to close."""

    def __init__(
        self,
        endpoint: Endpoint,
        sessions: Sessions,
        dispatcher: Dispatcher,
        recorder: Recorder,
        asks: GuestAsks,
        transfers: Transfers,
    ) -> None:
        self._endpoint = endpoint
        self._sessions = sessions
        self._dispatcher = dispatcher
        self._recorder = recorder
        self._asks = asks
        self._transfers = transfers
        self._links: dict[asyncio.Task[None], WorkerLink] = {}

    async def run(self) -> None:
        """Accepts until the endpoint is closed or this is cancelled."""
        while True:
            try:
                connection = await self._endpoint.accept()
            except Unavailable:
                log.info("endpoint_closed")
                return
            if len(self._links) >= MAX_CONNECTIONS:
                log.warning("too_many_connections", worker=connection.peer)
                await connection.close(CLOSE_SILENT, "too many connections; try again later")
            else:
                self._serve(connection)

    async def stop(self) -> None:
        """Closes every connection, and waits until what was reported on them is stored."""
        for link in self._links.values():
            link.close(CLOSE_DONE, "the control plane stops; connect again")
        tasks = set(self._links)
        if tasks:
            _, slow = await asyncio.wait(tasks, timeout=STOP_S)
            for task in slow:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _serve(self, connection: Connection) -> None:
        link = WorkerLink(
            connection, self._sessions, self._dispatcher, self._recorder, self._asks, self._transfers
        )
        task = asyncio.create_task(link.run())
        self._links[task] = link
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        del self._links[task]
        if not task.cancelled() and task.exception() is not None:
            log.error("worker_connection_failed", exc_info=task.exception())

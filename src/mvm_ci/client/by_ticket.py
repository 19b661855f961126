"""The way to an API that only a ticket leads to: HTTP/1.1 on the streams of a peer-to-peer connection."""

import os
import re
from typing import Final

from mvm_ci.adapters.peer_http.transport import PeerTransport
from mvm_ci.ports.transport import ANY_ADDRESS, Connection, Endpoint, Transport
from mvm_ci.wire import http

_KEY_BYTES: Final = 32
_SHOWN: Final = 20


def address_of(ticket: str) -> str:
    """The address to give a client whose transport goes by this ticket; no name server knows it."""
    return f"http://{re.sub('[^a-z0-9]', '-', ticket.strip()[:_SHOWN])}.ticket"


class TicketTransport(PeerTransport):
    """The same to the control plane of ``ticket``.

    ``peers``: makes the endpoint that dials, with a key of its own, at the first request.
    """

    def __init__(self, peers: Transport, ticket: str, address: str = ANY_ADDRESS) -> None:
        super().__init__(self._dial)
        self._peers = peers
        self._ticket = ticket
        self._address = address
        self._endpoint: Endpoint | None = None

    async def aclose(self) -> None:
        """Closes the connection, its streams and the endpoint."""
        try:
            await super().aclose()
        finally:
            endpoint, self._endpoint = self._endpoint, None
            if endpoint is not None:
                await endpoint.close()

    async def _dial(self, timeout_s: float | None) -> Connection:
        if self._endpoint is None:
            self._endpoint = await self._peers.bind(
                secret_key=os.urandom(_KEY_BYTES), address=self._address, alpns=[http.ALPN]
            )
        if timeout_s is None:
            return await self._endpoint.connect(self._ticket)
        return await self._endpoint.connect(self._ticket, timeout_s)

"""Authenticated connections between processes, over whatever network lies between (iroh.

In tests, memory).
"""

from collections.abc import Sequence
from typing import Final, Literal, Protocol

from mvm_ci.domain.ids import WorkerId

ANY_ADDRESS: Final = "0.0.0.0:0"
"""Any address of this machine and any port: for who only dials."""
PathKind = Literal["direct", "relayed"]
"""How bytes travel just now: straight to the peer's socket, or over a relay that both reach."""


class Stream(Protocol):
    """A two-way stream of bytes. One reader and one writer at a time."""

    async def read(self, limit: int = 131_072) -> bytes:
        """Up to ``limit`` bytes as they come; empty when the peer finished.

        Raises ``Unavailable`` when the connection is gone.
        """
        ...

    async def write(self, data: bytes) -> None:
        """Sends all of ``data``. Raises ``Unavailable`` when the connection is gone."""
        ...

    async def finish(self) -> None:
        """Nothing more will be written."""
        ...

    async def taken(self) -> None:
        """Returns when the peer has all that was written before ``finish``, or wants no more of it. Raises
        ``Unavailable`` when the connection is gone.
        """
        ...

    async def reset(self) -> None:
        """Breaks it off: the peer's next read says so. Nobody may read or write it any more. Raises
        nothing.
        """
        ...


class Connection(Protocol):
    """A connection whose peer is proven to hold the key ``peer``."""

    @property
    def peer(self) -> WorkerId:
        """The peer's endpoint id, as the handshake proved it."""
        ...

    @property
    def protocol(self) -> bytes:
        """Which of the endpoints' protocols is spoken on it."""
        ...

    def limit(self, unread: int) -> None:
        """The peer may send so many bytes, on all streams of the connection, before somebody reads them."""
        ...

    async def open(self) -> Stream:
        """Opens a stream; the peer sees it when the first bytes arrive. Raises ``Unavailable``."""
        ...

    async def accept(self) -> Stream:
        """The next stream that the peer opened. Raises ``Unavailable`` when the connection is gone."""
        ...

    def path(self) -> PathKind | None:
        """How bytes travel just now; None if nobody knows (the connection is over)."""
        ...

    def heard(self) -> int:
        """How much has come from the peer's process. The number grows every few seconds as long as that
        process runs and the network lies between, whether or not anybody writes; after the end it stays.
        """
        ...

    async def close(self, code: int, reason: str) -> None:
        """Ends the connection; the peer can read code and reason. Safe to repeat."""
        ...

    def closed_by_peer(self) -> tuple[int, str] | None:
        """Code and reason with which the peer closed, once it did."""
        ...


class Endpoint(Protocol):
    """This process's place in the network."""

    @property
    def id(self) -> WorkerId:
        """This endpoint's id (its public key, 64 hex digits)."""
        ...

    def ticket(self) -> str:
        """How to reach this endpoint: an address, not a permission."""
        ...

    async def accept(self) -> Connection:
        """The next connection whose handshake succeeded (failed ones are dropped and counted).

        Raises ``Unavailable`` once closed.
        """
        ...

    async def connect(
        self, ticket: str, timeout_s: float = 10.0, protocol: bytes | None = None
    ) -> Connection:
        """Dials; ``protocol``: another than the first of the endpoint's. Raises ``BadInput`` for what is no
        ticket, ``Unavailable`` if nobody answers in time.
        """
        ...

    async def close(self) -> None:
        """Closes all connections and the socket."""
        ...


class Transport(Protocol):
    """Makes endpoints."""

    async def bind(self, *, secret_key: bytes, address: str, alpns: Sequence[bytes]) -> Endpoint:
        """An endpoint with this key (32 bytes) on ``address`` (``host:port``, port 0 for any). It answers to
        ``alpns`` and dials with the first of them.

        Raises ``Misconfigured`` (port in use, ...).
        """
        ...

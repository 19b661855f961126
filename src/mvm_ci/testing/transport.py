"""A network in memory, whose connections a test can cut, stall or leave half open."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Final

from mvm_ci.domain.errors import BadInput, Misconfigured, Unavailable
from mvm_ci.domain.ids import WorkerId
from mvm_ci.ports.transport import PathKind

WINDOW: Final = 1 << 20
"""Bytes that a stream takes while nobody reads, per direction."""
_PREFIX: Final = "memory:"


class MemoryNetwork:
    """Where endpoints find each other."""

    def __init__(self) -> None:
        self.endpoints: dict[str, MemoryEndpoint] = {}
        self.addresses: set[str] = set()
        self.dials = 0
        """How often somebody dialled, successfully or not."""
        self.unreachable = False
        """While set, nobody answers."""
        self._ports = 40_000

    def claim(self, address: str) -> str:
        """The address as bound. Raises ``Misconfigured`` if it is taken."""
        host, _, port = address.rpartition(":")
        if not port.isdecimal():
            raise Misconfigured(f"not an address: {address}")
        if port == "0":
            self._ports += 1
            address = f"{host}:{self._ports}"
        if address in self.addresses:
            raise Misconfigured(f"port of {address} is in use")
        self.addresses.add(address)
        return address


class MemoryTransport:
    """``ports.transport.Transport`` on a ``MemoryNetwork``."""

    def __init__(self, network: MemoryNetwork) -> None:
        self.network = network
        self.binds = 0

    async def bind(self, *, secret_key: bytes, address: str, alpns: Sequence[bytes]) -> "MemoryEndpoint":
        self.binds += 1
        bound = self.network.claim(address)
        endpoint = MemoryEndpoint(self.network, hashlib.sha256(secret_key).hexdigest(), bound, alpns)
        self.network.endpoints[endpoint.id] = endpoint
        return endpoint


class MemoryEndpoint:
    """An endpoint; ``connections`` are all its live ones, newest last."""

    def __init__(self, network: MemoryNetwork, identity: str, address: str, alpns: Sequence[bytes]) -> None:
        self._network = network
        self.alpns = alpns
        self._id = WorkerId(identity)
        self.address = address
        self.connections: list[MemoryConnection] = []
        self._waiting: asyncio.Queue[MemoryConnection | None] = asyncio.Queue()
        self._closed = False

    @property
    def id(self) -> WorkerId:
        return self._id

    def ticket(self) -> str:
        return _PREFIX + self._id

    async def accept(self) -> "MemoryConnection":
        connection = await self._waiting.get()
        if connection is None:
            self._waiting.put_nowait(None)
            raise Unavailable("the endpoint is closed")
        return connection

    async def connect(
        self, ticket: str, timeout_s: float = 10.0, protocol: bytes | None = None
    ) -> "MemoryConnection":
        self._network.dials += 1
        if not ticket.startswith(_PREFIX):
            raise BadInput(f"not an endpoint ticket: {ticket!r}")
        await asyncio.sleep(0)
        target = self._network.endpoints.get(ticket.removeprefix(_PREFIX))
        if self._closed or target is None or self._network.unreachable:
            raise Unavailable(f"nobody answered at {ticket} within {timeout_s:g} s")
        protocol = protocol or self.alpns[0]
        if protocol not in target.alpns:
            raise Unavailable(f"cannot connect: {ticket} does not speak {protocol!r}")
        near, far = MemoryConnection(target.id, protocol), MemoryConnection(self._id, protocol)
        near.other, far.other = far, near
        self.connections.append(near)
        target.connections.append(far)
        target._waiting.put_nowait(far)  # noqa: SLF001 (its other half)
        return near

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._network.endpoints.get(self._id) is self:
            del self._network.endpoints[self._id]
        self._network.addresses.discard(self.address)
        for connection in self.connections:
            await connection.close(0, "")
        self._waiting.put_nowait(None)


class _Pipe:
    """One direction of a stream."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.finished = False
        self.broken_off = False
        self.changed = asyncio.Event()


class MemoryConnection:
    """One side of a connection, with the faults a test may inject."""

    other: "MemoryConnection"

    def __init__(self, peer: str, protocol: bytes) -> None:
        self._peer = WorkerId(peer)
        self._protocol = protocol
        self._incoming: asyncio.Queue[MemoryStream] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._closed_by_peer: tuple[int, str] | None = None
        self.streams: list[MemoryStream] = []
        self.stalled = False
        self.half_open = False
        self.mute = False
        """While set, nothing comes from the peer but what it writes."""
        self._heard = 0

    @property
    def peer(self) -> WorkerId:
        return self._peer

    @property
    def protocol(self) -> bytes:
        return self._protocol

    @property
    def gone(self) -> bool:
        """Whether this side knows that the connection is over."""
        return self._gone.is_set()

    def cut(self) -> None:
        """The network between them is gone and both know it."""
        self.end(None)
        self.other.end(None)

    def stall(self, *, stalled: bool = True) -> None:
        """While stalled no byte arrives on either side; nobody is told."""
        for side in (self, self.other):
            side.stalled = stalled
            side.wake_streams()

    def lose_peer(self) -> None:
        """The other side dies without a word: this side still believes in the connection."""
        self.half_open = True
        self.stall()
        self.other.end(None)

    def path(self) -> PathKind | None:
        return None if self.gone else "direct"

    def heard(self) -> int:
        if not self.gone and not self.stalled and not self.mute:
            self._heard += 1
        return self._heard

    def limit(self, unread: int) -> None:
        """Each stream has a window of its own here, and no other limit."""

    async def open(self) -> "MemoryStream":
        self._check()
        there, back = _Pipe(), _Pipe()
        near = MemoryStream(self, reads=back, writes=there)
        near.far = MemoryStream(self.other, reads=there, writes=back)
        self.streams.append(near)
        return near

    async def accept(self) -> "MemoryStream":
        self._check()
        getting = asyncio.create_task(self._incoming.get())
        leaving = asyncio.create_task(self._gone.wait())
        try:
            await asyncio.wait({getting, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                raise Unavailable("the connection is gone")
            return getting.result()
        finally:
            getting.cancel()
            leaving.cancel()

    async def close(self, code: int, reason: str) -> None:
        if self._gone.is_set():
            return
        self.end(None)
        if not self.half_open and not self.other.gone:
            self.other.end((code, reason))

    def closed_by_peer(self) -> tuple[int, str] | None:
        return self._closed_by_peer

    def arrived(self, stream: "MemoryStream") -> None:
        """The first bytes of a stream came."""
        self.streams.append(stream)
        self._incoming.put_nowait(stream)

    def _check(self) -> None:
        if self._gone.is_set():
            raise Unavailable("the connection is gone")

    def end(self, by_peer: tuple[int, str] | None) -> None:
        """This side learns that the connection is over."""
        if not self._gone.is_set():
            self._closed_by_peer = by_peer
            self._gone.set()
            self.wake_streams()

    def wake_streams(self) -> None:
        """Lets whoever waits look again."""
        for stream in self.streams:
            stream.wake()


class MemoryStream:
    """A two-way stream with a window."""

    far: "MemoryStream | None" = None

    def __init__(self, connection: MemoryConnection, *, reads: _Pipe, writes: _Pipe) -> None:
        self._connection = connection
        self._reads = reads
        self._writes = writes

    async def read(self, limit: int = 131_072) -> bytes:
        while True:
            self._connection._check()  # noqa: SLF001 (a part of its connection)
            if not self._connection.stalled:
                self._check()
                if self._reads.data:
                    data = bytes(self._reads.data[:limit])
                    del self._reads.data[:limit]
                    self._reads.changed.set()
                    return data
                if self._reads.finished:
                    return b""
            self._reads.changed.clear()
            await self._reads.changed.wait()

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            self._connection._check()  # noqa: SLF001
            self._check()
            room = WINDOW - len(self._writes.data)
            if room <= 0:
                self._writes.changed.clear()
                await self._writes.changed.wait()
                continue
            self._announce()
            self._writes.data += view[:room]
            view = view[room:]
            self._writes.changed.set()
        await asyncio.sleep(0)

    async def finish(self) -> None:
        self._connection._check()  # noqa: SLF001
        self._announce()
        self._writes.finished = True
        self._writes.changed.set()

    async def taken(self) -> None:
        self._connection._check()  # noqa: SLF001

    async def reset(self) -> None:
        for pipe in (self._reads, self._writes):
            pipe.broken_off = True
            pipe.changed.set()

    def _check(self) -> None:
        if self._reads.broken_off:
            raise Unavailable("the stream was broken off")

    def wake(self) -> None:
        """Something about the connection changed."""
        self._reads.changed.set()
        self._writes.changed.set()

    def _announce(self) -> None:
        if self.far is not None and not self._connection.half_open:
            far, self.far = self.far, None
            self._connection.other.arrived(far)

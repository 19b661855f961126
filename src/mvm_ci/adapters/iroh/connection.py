"""One iroh connection and its streams."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import iroh

from mvm_ci.adapters.iroh import failures
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import WorkerId
from mvm_ci.ports.transport import PathKind

T = TypeVar("T")
MAX_READ: Final = 256 << 10
MIN_READ: Final = 4 << 10
"""Of a stream on which not more has come at a time. iroh sets aside, and zeroes, as many bytes as a read asks
for, and a thousand idle connections each wait in one.
"""
BROKEN_OFF: Final = 1
"""Code of streams that are broken off."""
MAX_REASON: Final = 200
"""Bytes of a close reason; a longer one would not fit the one packet that carries it."""


class IrohStream:
    """A two-way stream. A cancelled read or write may have moved bytes: the stream is of no use after it."""

    def __init__(self, stream: iroh.BiStream) -> None:
        self._send = stream.send()
        self._recv = stream.recv()
        self._cancelled = False
        self._size = MIN_READ

    async def read(self, limit: int = 131_072) -> bytes:
        size = min(limit, self._size)
        data = await self._guarded(self._recv.read(size))
        if len(data) == self._size:
            self._size = MAX_READ  # for good: to shrink it again would cost busy streams more reads
        return data

    async def write(self, data: bytes) -> None:
        await self._guarded(self._send.write_all(data))

    async def finish(self) -> None:
        await self._guarded(self._send.finish())

    async def taken(self) -> None:
        await self._guarded(self._send.stopped())

    async def reset(self) -> None:
        self._cancelled = True
        with contextlib.suppress(iroh.IrohError):  # it is over
            await self._send.reset(BROKEN_OFF)
            await self._recv.stop(BROKEN_OFF)

    async def _guarded(self, call: Coroutine[Any, Any, T]) -> T:
        if self._cancelled:
            call.close()
            raise Unavailable("the stream was given up in the middle of a transfer")
        try:
            return await call
        except iroh.IrohError as error:
            raise failures.gone(error) from None
        except asyncio.CancelledError:
            self._cancelled = True
            raise


class IrohConnection:
    """A connection whose peer is proven to hold the key ``peer``."""

    def __init__(self, connection: iroh.Connection) -> None:
        self._connection = connection
        self._peer = WorkerId(str(connection.remote_id()))
        self._protocol = connection.alpn()

    @property
    def peer(self) -> WorkerId:
        return self._peer

    @property
    def protocol(self) -> bytes:
        return self._protocol

    def limit(self, unread: int) -> None:
        self._connection.set_receive_window(unread)

    async def open(self) -> IrohStream:
        try:
            return IrohStream(await self._connection.open_bi())
        except iroh.IrohError as error:
            raise failures.gone(error) from None

    async def accept(self) -> IrohStream:
        try:
            return IrohStream(await self._connection.accept_bi())
        except iroh.IrohError as error:
            raise failures.gone(error) from None

    def path(self) -> PathKind | None:
        if self._connection.close_reason() is not None:
            return None
        try:
            paths = self._connection.paths()
        except iroh.IrohError:
            return None
        selected = next((path for path in paths if path.is_selected), None)
        if selected is None:
            return None
        return "relayed" if selected.is_relay else "direct"

    def heard(self) -> int:
        # iroh itself sends, and answers, something every 5 s.
        return self._connection.stats().udp_rx_datagrams

    async def close(self, code: int, reason: str) -> None:
        # Cut between characters: the peer reads it as UTF-8.
        text = reason.encode()[:MAX_REASON].decode(errors="ignore")
        try:
            self._connection.close(code, text.encode())
        except iroh.IrohError as error:
            raise failures.gone(error) from None

    def closed_by_peer(self) -> tuple[int, str] | None:
        return failures.parse_close(self._connection.close_reason())

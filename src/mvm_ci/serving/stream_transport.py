"""A peer's stream as a transport of asyncio: what serves connections over TCP serves it, too."""

import asyncio
from typing import Final

import structlog

from mvm_ci.domain.errors import Unavailable
from mvm_ci.ports.transport import Stream

log = structlog.get_logger(__name__)

HIGH: Final = 64 << 10
"""Bytes that wait to be taken at which the protocol is told to pause."""
LOW: Final = 16 << 10
"""Bytes at which it may go on."""
_WRITE: Final = 256 << 10


class StreamTransport(asyncio.Transport):
    """``address``: of the peer, for people. ``run`` is its life; cancelling that breaks it off."""

    def __init__(self, stream: Stream, protocol: asyncio.Protocol, address: str) -> None:
        super().__init__({"peername": (address,)})
        self._stream = stream
        self._protocol = protocol
        self._reads = asyncio.Event()
        self._reads.set()
        self._out: list[bytes] = []
        self._size = 0
        self._wake = asyncio.Event()
        self._pausing = False
        self._eof = False
        self._closing = False
        self._broken_off = True
        self._over: asyncio.Future[OSError | None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Returns when the protocol has closed it, or the peer is gone; the protocol knows by then."""
        error: OSError | None = None
        tasks: list[asyncio.Task[None]] = []
        try:
            self._protocol.connection_made(self)
            tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]
            error = await self._over
        finally:
            self._closing = True
            for task in tasks:
                task.cancel()
            protocol, stream = self._protocol, self._stream
            # It and its protocol know each other: what the network holds must not wait for the collector.
            del self._protocol, self._stream
            # Before anything is waited for: whoever cancels this may do so once more.
            protocol.connection_lost(error)
            try:
                await asyncio.gather(*tasks, return_exceptions=True)
            finally:
                if self._broken_off:
                    await stream.reset()

    # ------------------------------------------------------------ what the protocol asks for

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing or self._eof:
            return
        self._out.append(bytes(data))
        self._size += len(data)
        self._wake.set()
        if self._size > HIGH and not self._pausing:
            self._pausing = True
            self._protocol.pause_writing()

    def write_eof(self) -> None:
        self._eof = True
        self._wake.set()

    def pause_reading(self) -> None:
        self._reads.clear()

    def resume_reading(self) -> None:
        self._reads.set()

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True
        self.write_eof()

    def abort(self) -> None:
        self._end(None)

    # ------------------------------------------------------------

    async def _read(self) -> None:
        try:
            while not self._closing:
                await self._reads.wait()
                data = await self._stream.read()
                await self._reads.wait()
                if self._closing:
                    return
                if data:
                    self._protocol.data_received(data)
                else:
                    if not self._protocol.eof_received():
                        self.close()
                    return
        except Unavailable as error:
            self._end(ConnectionResetError(str(error)))
        except Exception as error:  # its protocol's mistake costs this connection
            log.exception("connection_broke")
            self._end(ConnectionAbortedError(str(error)))

    async def _write(self) -> None:
        try:
            while self._out or not self._eof:
                if not self._out:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                data = b"".join(self._out)
                self._out.clear()
                for at in range(0, len(data), _WRITE):
                    piece = data[at : at + _WRITE]
                    await self._stream.write(piece)
                    self._taken(len(piece))
            await self._stream.finish()
            self._broken_off = False  # what was written arrives, whatever becomes of the rest
            while not self._closing:
                self._wake.clear()
                await self._wake.wait()
            await self._stream.taken()
            self._end(None)
        except Unavailable as error:
            self._end(ConnectionResetError(str(error)))
        except Exception as error:
            log.exception("connection_broke")
            self._end(ConnectionAbortedError(str(error)))

    def _taken(self, size: int) -> None:
        self._size -= size
        if self._pausing and self._size <= LOW:
            self._pausing = False
            self._protocol.resume_writing()

    def _end(self, error: OSError | None) -> None:
        self._closing = True
        if not self._over.done():
            self._over.set_result(error)

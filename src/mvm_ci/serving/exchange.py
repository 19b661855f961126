"""One request and its answer, as the application sees them."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Protocol

from mvm_ci.serving.limits import DISCARDED, UNREAD, WINDOW

Headers = Iterable[tuple[bytes, bytes]]


class Disconnected(Exception):
    """The caller is gone; nobody waits for an answer."""


class BodyTooLarge(Exception):
    """The body has more bytes than are allowed. ``announced``: how many it says it has."""

    def __init__(self, announced: int | None) -> None:
        super().__init__(announced)
        self.announced = announced


class BodyLate(Exception):
    """The body did not come in time. ``limit_s``: what it had."""

    def __init__(self, limit_s: float) -> None:
        super().__init__(limit_s)
        self.limit_s = limit_s


class Line(Protocol):
    """The connection, as an exchange uses it."""

    @property
    def read_s(self) -> float: ...

    def flow(self) -> None:
        """The exchange wants more, or less, of its body than before."""
        ...

    def proceed(self) -> None:
        """The caller waits to be told that it may send the body."""
        ...

    def reply(
        self, exchange: "Exchange", status: int, body: bytes, media: bytes, headers: Headers
    ) -> None: ...

    def begin(
        self, exchange: "Exchange", status: int, media: bytes, length: int | None, headers: Headers
    ) -> None: ...

    async def piece(self, exchange: "Exchange", data: bytes) -> None: ...

    def end(self, exchange: "Exchange") -> None: ...


class Exchange:
    """``path``: unquoted, ``raw_path``: as it came; ``query``: its bytes after the question mark;
    ``headers``: by name in lower case, several joined by a comma; ``address``: the caller's.
    """

    __slots__ = (
        "_body",
        "_eager",
        "_line",
        "_size",
        "_waiting",
        "address",
        "answered",
        "chunked",
        "expects",
        "headers",
        "keep_alive",
        "lost",
        "method",
        "path",
        "query",
        "raw_path",
        "streaming",
        "task",
        "version_1_0",
        "wanted",
        "whole",
    )

    def __init__(self, line: Line, address: str) -> None:
        self._line = line
        self.address = address
        self.method = self.path = ""
        self.raw_path = self.query = b""
        self.headers: dict[bytes, bytes] = {}
        self.expects = False
        """The caller waits for 100 (Continue) before it sends a body."""
        self.keep_alive = True
        self.version_1_0 = False
        self._body: bytes | bytearray = b""
        self._size = 0
        self._waiting: asyncio.Future[None] | None = None
        self._eager = False
        """Whoever reads the body wants it as it comes."""
        self.wanted = UNREAD
        """Bytes of the body that may come now; 0: they are thrown away."""
        self.whole = False
        self.answered = False
        self.streaming = self.chunked = False
        self.lost = False
        self.task: asyncio.Task[None] | None = None

    # ------------------------------------------------------------ for the application

    async def body(self, limit: int) -> bytes:
        """The whole body. Raises ``BodyTooLarge`` as soon as it is over ``limit``, ``BodyLate``,
        ``Disconnected``.
        """
        if not self.whole:
            await self._rest(limit)
        if self.lost:
            raise Disconnected
        if self._size > limit:
            raise BodyTooLarge(self._announced())
        return bytes(self._body)

    def reply(self, status: int, body: bytes, media: bytes, headers: Headers = ()) -> None:
        """The whole answer."""
        self._line.reply(self, status, body, media, headers)

    async def pieces(self, limit: int) -> AsyncGenerator[bytes, None]:
        """The body as it comes, with a window of it in memory. Raises ``BodyTooLarge`` as soon as it is over
        ``limit``, ``BodyLate`` (nothing more came), ``Disconnected``.
        """
        announced = self._announced()
        if announced is not None and announced > limit:
            raise BodyTooLarge(announced)
        self.wanted, self._eager = WINDOW, True
        self._proceed()
        taken = 0
        while True:
            await self._come(lambda: not (self._body or self.whole or self.lost))
            if self.lost:
                raise Disconnected
            data, self._body, self._size = bytes(self._body), b"", 0
            taken += len(data)
            if taken > limit:
                raise BodyTooLarge(announced)
            if not data:
                return
            yield data

    def begin(
        self, media: bytes, status: int = 200, length: int | None = None, headers: Headers = ()
    ) -> None:
        """Begins an answer in pieces, of ``length`` bytes together if that is known. From here on the loss of
        the caller cancels the task.
        """
        self._line.begin(self, status, media, length, headers)

    async def piece(self, data: bytes) -> None:
        """Sends a piece; waits while the caller does not take what was sent."""
        await self._line.piece(self, data)

    def end(self) -> None:
        """The last piece was sent."""
        self._line.end(self)

    # ------------------------------------------------------------ for the connection

    @property
    def full(self) -> bool:
        """No more of the body should come now."""
        return self._size >= self.wanted > 0

    def came(self, data: bytes) -> bool:
        """A part of the body; False if this is more than anybody reads."""
        self._size += len(data)
        if self.wanted == 0:
            return self._size <= DISCARDED
        if not self._body:
            self._body = data  # mostly, that is all of it
        elif isinstance(self._body, bytearray):
            self._body += data
        else:
            self._body = bytearray(self._body) + data
        if self.full or self._eager:
            self._wake()
        return True

    def complete(self) -> None:
        """The body is whole."""
        self.whole = True
        self.expects = False
        self._wake()

    def lose(self) -> None:
        """The caller is gone."""
        self.lost = True
        self._wake()
        if self.streaming and self.task is not None:
            self.task.cancel()

    def discard(self) -> None:
        """Nobody wants what is still to come of the body."""
        self._body = b""
        self.wanted = 0

    # ------------------------------------------------------------

    async def _rest(self, limit: int) -> None:
        """Until the body is whole, longer than ``limit``, or the caller is gone."""
        if self.lost:
            return
        announced = self._announced()
        if announced is not None and announced > limit:
            raise BodyTooLarge(announced)
        self.wanted = limit + 1
        self._proceed()
        await self._come(self._lacks)

    def _proceed(self) -> None:
        if self.expects:
            self.expects = False
            self._line.proceed()

    async def _come(self, lacks: Callable[[], bool]) -> None:
        """Waits as long as ``lacks`` says so. Raises ``BodyLate``."""
        try:
            async with asyncio.timeout(self._line.read_s):
                while lacks():
                    self._line.flow()
                    self._waiting = asyncio.get_running_loop().create_future()
                    await self._waiting
        except TimeoutError:
            raise BodyLate(self._line.read_s) from None

    def _lacks(self) -> bool:
        return not (self.whole or self.lost or self.full)

    def _announced(self) -> int | None:
        length = self.headers.get(b"content-length")
        return int(length) if length is not None else None

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

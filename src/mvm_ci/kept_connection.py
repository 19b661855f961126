"""One connection to a peer, made when it is first asked for and again when it is gone."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias
from weakref import WeakSet

from mvm_ci.domain.errors import Unavailable
from mvm_ci.ports.transport import Connection

Dial: TypeAlias = Callable[[float | None], Awaitable[Connection]]
"""Makes a connection, in so many seconds; None: in as many as it likes. Raises ``Unavailable`` if not."""


class KeptConnection:
    """``dial``: whom it leads to; never called twice at once."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._connection: Connection | None = None
        self._made: WeakSet[Connection] = WeakSet()
        """One that has no path just now is replaced, and may have streams that go on."""
        self._dialling = asyncio.Lock()
        self._closed = False

    async def get(self, limit_s: float | None) -> Connection:
        """The connection. ``limit_s``: for others who dial, and for the dial if there has to be another.

        Raises what ``dial`` raises, ``Unavailable`` when it is closed, and ``TimeoutError`` if others dialled
        for so long.
        """
        async with asyncio.timeout(limit_s):
            await self._dialling.acquire()
        try:
            self._check()
            if self._connection is None or self._connection.path() is None:
                connection = await self._dial(limit_s)
                self._made.add(connection)
                if self._closed:
                    await _hang_up(connection)
                    self._check()
                self._connection = connection
            return self._connection
        finally:
            self._dialling.release()

    async def close(self) -> None:
        """Ends it; there will be no other: a dial that is under way comes to ``Unavailable``."""
        self._closed = True
        self._connection = None
        for connection in list(self._made):
            await _hang_up(connection)

    async def settled(self) -> None:
        """After ``close``: returns when nobody dials any more."""
        async with self._dialling:
            pass

    def _check(self) -> None:
        if self._closed:
            raise Unavailable("the connection was given up")


async def _hang_up(connection: Connection) -> None:
    with suppress(Unavailable):
        await connection.close(0, "done")

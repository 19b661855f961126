"""One connection to a peer, made when it is first asked for and again when it is gone."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

from mvm_ci.domain.errors import Unavailable
from mvm_ci.ports.transport import Connection

Dial: TypeAlias = Callable[[float | None], Awaitable[Connection]]
"""Makes a connection, in so many seconds. Raises ``Unavailable``."""


class KeptConnection:
    """``dial``: whom it leads to; never called twice at once."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._connection: Connection | None = None
        self._dialling = asyncio.Lock()
        self._closed = False

    async def get(self, limit_s: float | None) -> Connection:
        """The connection. Raises ``Unavailable``, also when it was closed meanwhile."""
        async with self._dialling:
            self._check()
            if self._connection is None or self._connection.path() is None:
                # The dial has a limit of its own, and says why it failed.
                connection = await self._dial(limit_s)
                if self._closed:
                    await _hang_up(connection)
                    self._check()
                self._connection = connection
            return self._connection

    async def close(self) -> None:
        """Ends it; there will be no other: a dial that is under way comes to ``Unavailable``."""
        self._closed = True
        connection, self._connection = self._connection, None
        if connection is not None:
            await _hang_up(connection)

    async def settled(self) -> None:
        """Returns when nobody dials."""
        async with self._dialling:
            pass

    def _check(self) -> None:
        if self._closed:
            raise Unavailable("the connection was given up")


async def _hang_up(connection: Connection) -> None:
    with suppress(Unavailable):
        await connection.close(0, "done")

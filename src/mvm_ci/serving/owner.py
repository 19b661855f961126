"""What a connection needs of the server it belongs to."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from mvm_ci.serving.exchange import Exchange
from mvm_ci.serving.limits import Limits

Application = Callable[[Exchange], Awaitable[None]]


class Served(Protocol):
    """A connection, as its server sees it."""

    deadline: float
    """Until when the caller must have done what is expected of it, by the loop's clock."""

    def expire(self) -> None: ...

    def retire(self) -> None: ...

    def cut(self) -> None: ...


class Owner(Protocol):
    """What a connection needs of its server."""

    limits: Limits
    date: bytes
    """The header with the present second."""
    stopping: bool
    tasks: set[asyncio.Task[None]]
    """Of all connections, those that are lost, too."""

    @property
    def application(self) -> Application: ...

    def joined(self, connection: Served) -> bool:
        """False if there are too many."""
        ...

    def left(self, connection: Served) -> None: ...

    def problem(self, status: int, detail: str) -> tuple[bytes, bytes]:
        """Body and media type of an error that the connection itself finds."""
        ...

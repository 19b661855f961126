"""Transfers over a connection that comes and goes."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from mvm_ci.domain.errors import ProtocolError, Unavailable
from mvm_ci.peer.backoff import Backoff
from mvm_ci.peer.transfer import Answered
from mvm_ci.ports.clock import Clock
from mvm_ci.ports.transport import Connection

TRIES: Final = 5
"""Failures over a standing connection after which a transfer is given up. Lost connections do not count."""

Result = TypeVar("Result")
Attempt = Callable[[Connection], Coroutine[Any, Any, Result]]


class Transfers:
    """``at_once`` of them; more wait. ``connection``: waits for and gives the present connection."""

    def __init__(self, clock: Clock, connection: Callable[[], Awaitable[Connection]], at_once: int) -> None:
        self._clock = clock
        self._connection = connection
        self._slots = asyncio.Semaphore(at_once)

    async def run(self, attempt: Attempt[Result]) -> Result:
        """What ``attempt`` returns; made again after failures, and as often as the connection is lost.

        Raises ``Answered`` (final), ``Unavailable``, and what else ``attempt`` raises.
        """
        backoff = Backoff()
        while True:
            connection = await self._connection()
            try:
                async with self._slots:
                    return await attempt(connection)
            except (Unavailable, ProtocolError) as error:
                if isinstance(error, Answered) and error.final:
                    raise
                failure = error
            wait_ms = backoff.next_ms()
            if backoff.failures >= TRIES and connection is await self._connection():
                raise Unavailable(f"a transfer failed {TRIES} times: {failure}") from failure
            await self._clock.sleep(wait_ms)

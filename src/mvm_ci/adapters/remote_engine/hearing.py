"""What is heard of an engine: that it still says something, and which ends it was."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

from mvm_ci.domain.errors import Unavailable
from mvm_ci.wire import engine as w

SEEN_S: Final = 0.25
"""Until the engine is told which ends were seen, if nothing was brought to it meanwhile."""


class Silence:
    """A stream of events is given up when the engine has said nothing for too long."""

    def __init__(self) -> None:
        self._limit: asyncio.Timeout | None = None

    @contextlib.asynccontextmanager
    async def limited(self) -> AsyncIterator[None]:
        """Raises ``Unavailable`` out of the block once that is so."""
        try:
            async with asyncio.timeout(None) as self._limit:
                self.heard(busy=False)
                yield
        except TimeoutError:
            raise Unavailable("it says nothing any more") from None
        finally:
            self._limit = None

    def heard(self, *, busy: bool) -> None:
        """It said something; ``busy``: it has something of ours, and says more from now on."""
        if self._limit is not None:
            every_ms = w.SAY_BUSY_MS if busy else w.SAY_MS
            self._limit.reschedule(asyncio.get_running_loop().time() + w.SILENCES * every_ms / 1000)


class Seen:
    """The last end that was seen. What is brought says so, too: an order of its own (``order``) is for when
    nothing is.
    """

    def __init__(self, order: Callable[[w.Order], None]) -> None:
        self._order = order
        self._told = 0
        self._later: asyncio.TimerHandle | None = None
        self.number = 0

    def end(self, number: int) -> None:
        """This one was heard of; again, if the engine was not told."""
        self.number = number
        self._told = min(self._told, number - 1)
        if self._later is None:
            self._later = asyncio.get_running_loop().call_later(SEEN_S, self.tell)

    def told(self, number: int) -> None:
        """The engine knows."""
        self._told = max(self._told, number)

    def tell(self) -> None:
        """It is ordered now, if it is not known."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self.number > self._told:
            self.told(self.number)
            self._order(w.Seen(self.number))

    def begin(self) -> None:
        """Another process counts its own ends."""
        self.number = self._told = 0

"""A stream that is taken up again: how long its connection may stay lost, and the pauses in between."""

import asyncio
from typing import Final

import httpx

from mvm_ci.domain.errors import Unavailable

SILENCE_S: Final = 75.0
"""A server that follows writes something more often than this."""
_PATIENCE_S: Final = 60.0
"""How long a lost connection may stay lost."""
_PAUSES: Final = (0.1, 0.2, 0.5, 1.0, 2.0)


class Patience:
    """Of one reader with the control plane at ``url``."""

    def __init__(self, url: httpx.URL) -> None:
        self._url = url
        self._failures = 0
        self._lost_since: float | None = None

    def rewarded(self) -> None:
        """Something came."""
        self._failures, self._lost_since = 0, None

    def lost(self, error: Exception) -> None:
        """The connection is lost. Raises ``Unavailable`` if it has been for too long."""
        now = asyncio.get_running_loop().time()
        self._lost_since = now if self._lost_since is None else self._lost_since
        if now - self._lost_since > _PATIENCE_S:
            raise self.over(error) from None

    def over(self, error: Exception) -> Unavailable:
        """What to raise where nothing is tried again."""
        return Unavailable(f"lost the connection to {self._url}: {error}")

    async def pause(self) -> None:
        """Before the next try; longer each time, until something comes."""
        await asyncio.sleep(_PAUSES[min(self._failures, len(_PAUSES) - 1)])
        self._failures += 1

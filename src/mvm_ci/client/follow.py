"""Following a job's output: reconnects, and goes on after the last line that was seen."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import httpx
import msgspec

from mvm_ci.client.problems import error_of
from mvm_ci.domain.errors import ProtocolError, Unavailable
from mvm_ci.wire.api import LogLine

_SILENCE_S: Final = 75.0
"""A server that follows writes an empty line more often than this."""
_CONNECT_S: Final = 5.0
_PATIENCE_S: Final = 60.0
"""How long a lost connection may stay lost."""
_PAUSES: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
_decoder = msgspec.json.Decoder(LogLine)


class Follower:
    """Reads the output at ``path`` once, line by line; remembers where it is."""

    def __init__(self, http: httpx.AsyncClient, path: str) -> None:
        self._http = http
        self._path = path
        self._seen = (0, -1)
        self._failures = 0
        self._lost_since: float | None = None

    async def present(self) -> AsyncIterator[LogLine]:
        """What there is now. Raises ``Unavailable`` and what the API answers."""
        try:
            async for line in self._read(follow=False):
                yield line
        except httpx.TransportError as error:
            raise Unavailable(f"lost the connection to {self._http.base_url}: {error}") from None

    async def to_the_end(self, ended: Callable[[], Awaitable[bool]]) -> AsyncIterator[LogLine]:
        """Everything until the job has ``ended``. Raises ``Unavailable`` when the connection stays lost."""
        while True:
            try:
                async for line in self._read(follow=True):
                    yield line
                # The stream also ends when the control plane stops: only the job tells, and what it wrote
                # in between is read without following.
                if await ended():
                    async for line in self._read(follow=False):
                        yield line
                    return
            except (httpx.TransportError, Unavailable) as error:
                self._lost(error)
            await asyncio.sleep(_PAUSES[min(self._failures, len(_PAUSES) - 1)])
            self._failures += 1

    def _lost(self, error: Exception) -> None:
        now = asyncio.get_running_loop().time()
        self._lost_since = now if self._lost_since is None else self._lost_since
        if now - self._lost_since > _PATIENCE_S:
            raise Unavailable(f"lost the connection to {self._http.base_url}: {error}") from None

    async def _read(self, *, follow: bool) -> AsyncIterator[LogLine]:
        attempt, index = self._seen
        params: dict[str, str | int] = {"follow": 1} if follow else {}
        if attempt:
            params |= {"attempt": attempt, "from": index + 1}
        timeout = httpx.Timeout(_SILENCE_S, connect=_CONNECT_S)
        async with self._http.stream("GET", self._path, params=params, timeout=timeout) as answer:
            if answer.status_code >= 400:
                raise error_of(answer, await answer.aread(), str(self._http.base_url))
            async for text in answer.aiter_lines():
                self._failures, self._lost_since = 0, None
                line = _line(text) if text else None
                if line is not None and (line.attempt, line.index) > self._seen:
                    self._seen = (line.attempt, line.index)
                    yield line


def _line(text: str) -> LogLine:
    try:
        return _decoder.decode(text)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"a log line that this version does not understand: {error}") from None

"""Following a job's output: reconnects, and goes on after the last line that was seen."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import httpx
import msgspec

from mvm_ci.client.problems import error_of
from mvm_ci.domain.errors import ProtocolError, Unavailable
from mvm_ci.wire.api import LogLine

_SILENCE_S: Final = 75.0
"""A server that follows writes an empty line more often than this."""
_PATIENCE_S: Final = 60.0
"""How long a lost connection may stay lost."""
_PAUSES: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
_decoder = msgspec.json.Decoder(LogLine)


async def lines(http: httpx.AsyncClient, path: str, *, wait: bool) -> AsyncIterator[LogLine]:
    """Every line once. Raises ``Unavailable`` when the connection stays lost, and what the API answers."""
    attempt, index = 0, -1
    failures = 0
    lost_since: float | None = None
    clock = asyncio.get_running_loop().time
    while True:
        params: dict[str, str | int] = {"follow": 1} if wait else {}
        if attempt:
            params |= {"attempt": attempt, "from": index + 1}
        try:
            async with http.stream(
                "GET", path, params=params, timeout=httpx.Timeout(_SILENCE_S, connect=5)
            ) as answer:
                if answer.status_code >= 400:
                    raise error_of(answer.status_code, await answer.aread(), str(http.base_url))
                async for text in answer.aiter_lines():
                    failures, lost_since = 0, None
                    if not text:
                        continue
                    line = _line(text)
                    if (line.attempt, line.index) > (attempt, index):
                        attempt, index = line.attempt, line.index
                        yield line
            return
        except (httpx.TransportError, Unavailable) as error:
            now = clock()
            lost_since = now if lost_since is None else lost_since
            if not wait or now - lost_since > _PATIENCE_S:
                raise Unavailable(f"lost the connection to {http.base_url}: {error}") from None
        await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
        failures += 1


def _line(text: str) -> LogLine:
    try:
        return _decoder.decode(text)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"a log line that this version does not understand: {error}") from None

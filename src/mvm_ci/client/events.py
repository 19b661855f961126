"""The client's way to events: goes on by itself where a lost connection left off."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import httpx
import msgspec

from mvm_ci.client.calls import CONNECT_S, Calls
from mvm_ci.client.problems import error_of
from mvm_ci.domain.errors import ProtocolError, Unavailable
from mvm_ci.wire.api import EventView

_SILENCE_S: Final = 75.0
"""A server that follows writes a comment more often than this."""
_PATIENCE_S: Final = 60.0
"""How long a lost connection may stay lost."""
_PAUSES: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
_decoder = msgspec.json.Decoder(EventView)


class EventCalls(Calls):
    """The route of events."""

    def events(
        self,
        *,
        after: int | None = None,
        job: str | None = None,
        kinds: Sequence[str] = (),
        follow: bool = True,
    ) -> AsyncIterator[EventView]:
        """What happens to jobs, after the event number ``after``, or from now on. If it follows, it ends
        only with an error; else after what there is.

        ``restarted`` and ``gap``: events may be missing before this one. Raises ``Unavailable`` when the
        connection stays lost, and what the API answers.
        """
        params: dict[str, Any] = {"kind": ",".join(kinds)} if kinds else {}
        if job is not None:
            params["job"] = job
        reader = _Reader(self._http, params, after)
        return reader.onward() if follow else reader.present()


class _Reader:
    """Reads events; remembers where it is."""

    def __init__(self, http: httpx.AsyncClient, params: dict[str, Any], after: int | None) -> None:
        self._http = http
        self._params = params
        self._after = after
        self._failures = 0
        self._lost_since: float | None = None

    async def present(self) -> AsyncIterator[EventView]:
        try:
            async for event in self._read({"follow": 0}):
                yield event
        except httpx.TransportError as error:
            raise Unavailable(f"lost the connection to {self._http.base_url}: {error}") from None

    async def onward(self) -> AsyncIterator[EventView]:
        while True:
            try:
                async for event in self._read({}):
                    yield event
            except (httpx.TransportError, Unavailable) as error:
                self._lost(error)
            # The stream also ends when the control plane stops.
            await asyncio.sleep(_PAUSES[min(self._failures, len(_PAUSES) - 1)])
            self._failures += 1

    def _lost(self, error: Exception) -> None:
        now = asyncio.get_running_loop().time()
        self._lost_since = now if self._lost_since is None else self._lost_since
        if now - self._lost_since > _PATIENCE_S:
            raise Unavailable(f"lost the connection to {self._http.base_url}: {error}") from None

    async def _read(self, more: dict[str, Any]) -> AsyncIterator[EventView]:
        params = self._params | more
        if self._after is not None:
            params["after"] = self._after
        timeout = httpx.Timeout(_SILENCE_S, connect=CONNECT_S)
        async with self._http.stream("GET", "/v1/events", params=params, timeout=timeout) as answer:
            if answer.status_code >= 400:
                raise error_of(answer, await answer.aread(), str(self._http.base_url))
            number, data = self._after, ""  # of the event that is coming in
            async for line in answer.aiter_lines():
                self._failures, self._lost_since = 0, None
                name, _, value = line.partition(": ")
                if name == "data":
                    data = value
                elif name == "id" and value.isdigit():
                    number = int(value)
                elif not line:
                    # The whole of it has come: an event, or a comment with the number up to which all was
                    # looked at.
                    self._after, text, data = number, data, ""
                    if text:
                        yield _event(text)


def _event(text: str) -> EventView:
    try:
        return _decoder.decode(text)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"an event that this version does not understand: {error}") from None

# Made by tests/unit/client/blocking_twin.py of mvm_ci/client/events.py: change that one.
"""The client's way to events: goes on by itself where a lost connection left off."""

from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import msgspec

from mvm_ci.client.blocking.calls import CONNECT_S, Calls
from mvm_ci.client.blocking.patience import SILENCE_S, Patience
from mvm_ci.client.problems import error_of
from mvm_ci.domain.errors import ProtocolError, Unavailable
from mvm_ci.wire.api import EventView

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
    ) -> Iterator[EventView]:
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

    def __init__(self, http: httpx.Client, params: dict[str, Any], after: int | None) -> None:
        self._http = http
        self._params = params
        self._after = after
        self._patience = Patience(http.base_url)

    def present(self) -> Iterator[EventView]:
        try:
            yield from self._read({"follow": 0})
        except httpx.TransportError as error:
            raise self._patience.over(error) from None

    def onward(self) -> Iterator[EventView]:
        while True:
            try:
                yield from self._read({})
            except (httpx.TransportError, Unavailable) as error:
                self._patience.lost(error)
            # The stream also ends when the control plane stops.
            self._patience.pause()

    def _read(self, more: dict[str, Any]) -> Iterator[EventView]:
        params = self._params | more
        if self._after is not None:
            params["after"] = self._after
        timeout = httpx.Timeout(SILENCE_S, connect=CONNECT_S)
        with self._http.stream("GET", "/v1/events", params=params, timeout=timeout) as answer:
            if answer.status_code >= 400:
                raise error_of(answer, answer.read(), str(self._http.base_url))
            number, data = self._after, ""  # of the event that is coming in
            for line in answer.iter_lines():
                self._patience.rewarded()
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

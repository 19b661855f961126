"""uvicorn's HTTP protocol, held to limits that it lacks: of a head's size and time, of idle connections, of
connections at all.
"""

from asyncio import TimerHandle, Transport
from enum import Enum
from http import HTTPStatus
from typing import Any, Final, cast

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from mvm_ci.control_plane.api.problems import problem
from mvm_ci.control_plane.http_limits import HttpLimits

log = structlog.get_logger(__name__)


class Doorkeeper:
    """How many connections there may be. Says once that no more are taken, until some are again."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._full = False

    def admits(self, present: int) -> bool:
        """Whether ``present`` connections, the newest among them, are not too many."""
        full = present > self._most
        if full and not self._full:
            log.warning("too_many_http_connections", most=self._most)
        self._full = full
        return not full


class _Reading(Enum):
    NOTHING = "between requests"
    HEAD = "head"
    BODY = "body"


class BoundedHttp(HttpToolsProtocol):
    """One connection. Whole heads in one piece, as nearly all are, cost a few additions and no timer."""

    def __init__(self, limits: HttpLimits, door: Doorkeeper, **given: Any) -> None:  # noqa: ANN401 (uvicorn's own)
        super().__init__(**given)
        self._limits = limits
        self._door = door
        self._reading = _Reading.NOTHING
        self._piece = 0
        self._fruitless = 0
        """Bytes since the last that ended a head or a request, or were body."""
        self._timer: TimerHandle | None = None
        self._too_large = False

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        if not self._door.admits(len(self.connections)):
            self._refuse(503, "unavailable", "too many connections; come back later")
            return
        # uvicorn limits the idle time after a request only.
        self.timeout_keep_alive_task = self.loop.call_later(
            self._limits.idle_s, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._piece = len(data)
        self._fruitless += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._reading is not _Reading.NOTHING and self._fruitless > self._limits.head_bytes:
            self._refuse_head()
        elif self._reading is _Reading.HEAD:
            self._within(self._limits.head_s)
        elif self._reading is _Reading.BODY and self.cycle.response_complete:
            self._within(self._limits.rest_s)
        else:
            self._stop_timer()

    def on_message_begin(self) -> None:
        self._reading = _Reading.HEAD
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        # Only a large piece can hold a large head; what else is in it does not count.
        if max(self._fruitless, self._piece) > self._limits.head_bytes and self._head_size() > (
            self._limits.head_bytes
        ):
            self._too_large = True
            raise ValueError("the head is too large")
        self._reading = _Reading.BODY
        self._fruitless = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._fruitless = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._reading = _Reading.NOTHING
        self._fruitless = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """The answer to what uvicorn's parser, or a callback above, does not take."""
        if self._too_large:
            self._refuse_head()
        else:
            self._refuse(400, "bad-input", msg)

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _within(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(seconds, self._too_slow, seconds)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self, seconds: float) -> None:
        self._timer = None
        if self._answering:
            # Of an earlier request, which is not to suffer; the answer's end is soon enough.
            self._within(seconds)
        else:
            self._refuse(408, "bad-input", f"the request did not come within {seconds:g} s")

    def _refuse_head(self) -> None:
        most = self._limits.head_bytes
        self._refuse(431, "too-large", f"the head is over the {most} bytes that are allowed")

    @property
    def _answering(self) -> bool:
        # Before the first request there is none, whatever uvicorn's types say.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Closes the connection, and says why unless that would end up within another answer."""
        if not self.transport.is_closing():
            if not self._answering and self._reading is not _Reading.BODY:
                self.transport.write(_refusal(status, problem(status, code, detail)))
            self.transport.close()
        self._stop_timer()


_HEAD: Final = (
    "HTTP/1.1 {status} {phrase}\r\n"
    "content-type: application/problem+json\r\n"
    "content-length: {length}\r\n"
    "connection: close\r\n\r\n"
)


def _refusal(status: int, body: bytes) -> bytes:
    head = _HEAD.format(status=status, phrase=HTTPStatus(status).phrase, length=len(body))
    return head.encode() + body

"""The calls of an engine's API, and what can become of them."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final, TypeVar

import msgspec

from mvm_ci.adapters.remote_engine.http1 import Http
from mvm_ci.domain.errors import MvmCiError, QueueFull, Refused, Unavailable
from mvm_ci.domain.grant import Grant
from mvm_ci.wire import engine as w

T = TypeVar("T")
Token = Callable[[], Awaitable[str | None]]


class _Problem(msgspec.Struct):
    """As much of ``wire.api.Problem`` as is looked at; all of that would be loaded for it."""

    detail: str


MAX_LINE: Final = 64 << 20
"""Bytes of one event."""
_NO_ENGINE: Final = "no engine of ours; --engine is to name the address that 'mvm-ci engine' prints"
_WHOSE_TOKEN: Final = "--engine-token-file names a copy of engine-token in the engine's state directory"  # noqa: S105
_OK: Final = 200
_encode: Final = msgspec.json.Encoder().encode
_event: Final = msgspec.json.Decoder(w.Event)
_room: Final = msgspec.json.Decoder(w.Room)
_taken: Final = msgspec.json.Decoder(w.Taken)
_problem: Final = msgspec.json.Decoder(_Problem)


class _NotThere(Unavailable):
    """What answers has no such thing."""


class Calls:
    """``token``: what shows that it is us, read anew for each stream; None: our key does. ``client``: how we
    are called there.
    """

    def __init__(self, http: Http, client: str, token: Token) -> None:
        self._http = http
        self._base = f"/v1/clients/{client}"
        self._token = token
        self._headers = ""

    async def room(self) -> w.Room:
        """Which engine there is. Raises ``Refused`` (the token), ``Unavailable``."""
        token = await self._token()
        self._headers = "" if token is None else f"authorization: Bearer {token}\r\n"
        try:
            return _decoded(_room, await self._call("GET", "/v1/engine"))
        except _NotThere as error:
            raise Unavailable(f"what answers there is {_NO_ENGINE}: {error}") from None

    async def events(self) -> AsyncGenerator[list[w.Event], None]:
        """What happens, in portions as they come; how long that may take is the caller's to say. Raises
        ``Refused``, ``Unavailable``: also at its end.
        """
        rest = bytearray()
        answer = await self._http.begin(f"{self._base}/events", self._headers)
        try:
            if answer.status != _OK:
                raise _explained(answer.status, await answer.rest())
            async for piece in answer.pieces():
                rest += piece
                if len(rest) > MAX_LINE:
                    raise Unavailable(f"the engine sent an event of more than {MAX_LINE} bytes")
                *lines, last = rest.split(b"\n")
                rest = bytearray(last)
                if lines:
                    yield [_decoded(_event, line) for line in lines]
        finally:
            await answer.close()
        raise Unavailable("the engine ended the stream of events")

    async def place(self, grants: Sequence[Grant], seen: int) -> w.Taken:
        """Brings grants, and says which ends were seen. Raises ``QueueFull``: there is no room at all;
        ``Refused``, ``Unavailable``.
        """
        body = _encode(w.Place(tuple(grants), seen))
        return _decoded(_taken, await self._call("POST", f"{self._base}/executions", body))

    async def order(self, orders: Sequence[w.Order]) -> None:
        """Raises ``Refused``, ``Unavailable``."""
        await self._call("POST", f"{self._base}/orders", _encode(tuple(orders)))

    async def close(self) -> None:
        """Closes its connections. Whoever calls meanwhile, or later, hears ``Unavailable``."""
        await self._http.close()

    async def _call(self, method: str, path: str, body: bytes = b"") -> bytes:
        status, answer = await self._http.ask(method, path, self._headers, body)
        if status != _OK:
            raise _explained(status, answer)
        return answer


def _decoded(decoder: msgspec.json.Decoder[T], data: bytes | bytearray) -> T:
    try:
        return decoder.decode(data)
    except msgspec.DecodeError as error:
        raise Unavailable(f"what answers there is {_NO_ENGINE}, or one of another version: {error}") from None


def _explained(status: int, body: bytes) -> MvmCiError:
    try:
        detail = _problem.decode(body).detail
    except msgspec.DecodeError:
        return Unavailable(f"what answers there is {_NO_ENGINE}: status {status}")
    if status == 401:
        return Refused(f"{detail}; {_WHOSE_TOKEN}")
    if status == 404:
        return _NotThere(detail)
    return QueueFull(detail) if status == 429 else Unavailable(detail)

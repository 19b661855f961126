"""One request and its answer on one connection that is used for nothing else."""

import asyncio
import itertools
from pathlib import Path
from typing import Final, NamedTuple

import h11

from mvm_ci.adapters.http.spool import Spool
from mvm_ci.adapters.http.target import Failed, Target

MAX_BODY: Final = 8 << 20
MAX_HEAD: Final = 64 << 10
MAX_PIECES: Final = 100_000
"""Pieces that a body comes in: each takes as long as a kilobyte, even if it is one byte."""
_MAX_INFORMATIONAL: Final = 8
_READ: Final = 64 << 10
_EVENTS: Final = 256
"""Of one answer in one go: what has come already is read without waiting, and others want their turn."""


class Answer(NamedTuple):
    """An answer as it came. ``body``: whoever got it closes it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: Spool

    def header(self, name: bytes) -> str | None:
        """The first header of that (lower-case) name."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), None)


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Target, spool: Path | None
) -> Answer:
    """Sends the request and reads the whole answer; a large body goes into a file in ``spool``.

    Raises ``Failed``: protocol or too-large.
    """
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    body = Spool(spool)
    try:
        # Not drained: an answer may come before the body was read, and the body is limited.
        writer.write(_request_bytes(connection, target))
        head = await _answer(connection, reader, body)
        return Answer(head.status_code, list(head.headers), body)
    except BaseException as error:
        body.close()
        raise _meaning(error) from error


def _meaning(error: BaseException) -> BaseException:
    """What an error of an exchange says to the guest."""
    if isinstance(error, h11.RemoteProtocolError):
        return Failed("protocol", f"the server does not speak HTTP/1.1 correctly: {error}")
    if isinstance(error, h11.LocalProtocolError):
        return Failed("protocol", f"the request cannot be sent: {error}")
    if isinstance(error, OSError):
        return Failed("protocol", f"the connection broke: {error}")
    return error


def _request_bytes(connection: h11.Connection, target: Target) -> bytes:
    headers = [
        ("host", target.authority),
        *target.headers,
        ("accept-encoding", "identity"),
        ("connection", "close"),
    ]
    if target.body or target.method in ("POST", "PUT", "PATCH"):
        headers.append(("content-length", str(len(target.body))))
    encoded = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
    request = h11.Request(method=target.method, target=target.path, headers=encoded)
    head = connection.send(request)
    body = connection.send(h11.Data(data=target.body)) if target.body else b""
    return head + body + connection.send(h11.EndOfMessage())


async def _answer(connection: h11.Connection, reader: asyncio.StreamReader, body: Spool) -> h11.Response:
    head: h11.Response | None = None
    informational = 0
    for number in itertools.count(1):
        if number % _EVENTS == 0:
            await asyncio.sleep(0)
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_READ))
        elif isinstance(event, h11.InformationalResponse):
            informational += 1
            if informational > _MAX_INFORMATIONAL or event.status_code == 101:
                raise Failed("protocol", f"the server answers {event.status_code} where an answer belongs")
        elif isinstance(event, h11.Response):
            # h11 measures only what is not whole yet.
            if sum(len(name) + len(value) for name, value in event.headers) > MAX_HEAD:
                raise Failed("protocol", f"the answer's headers are larger than {MAX_HEAD} bytes")
            head = event
        elif isinstance(event, h11.Data):
            await _add(body, event.data)
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return head
        else:
            break
    raise Failed("protocol", "the server closed the connection before it answered")


async def _add(body: Spool, data: bytes | bytearray) -> None:
    if body.pieces >= MAX_PIECES:
        raise Failed("protocol", f"the answer's body comes in more than {MAX_PIECES} pieces")
    if body.size + len(data) > MAX_BODY:
        raise Failed("too-large", f"the answer's body is larger than {MAX_BODY} bytes")
    await body.add(data)

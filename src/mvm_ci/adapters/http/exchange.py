"""One request and its answer on one connection that is used for nothing else."""

import asyncio
import itertools
from pathlib import Path
from typing import Final, NamedTuple

import h11
import structlog

from mvm_ci.adapters.http.spool import Spool
from mvm_ci.adapters.http.target import Failed, Target
from mvm_ci.domain.artifact import MAX_ARTIFACT
from mvm_ci.ports.http_client import FileBody, Sink

_log = structlog.get_logger(__name__)
MAX_BODY: Final = 8 << 20
MAX_HEAD: Final = 64 << 10
MAX_PIECES: Final = 100_000
"""Pieces that a body comes in: each takes as long as a kilobyte, even if it is one byte."""
_MAX_INFORMATIONAL: Final = 8
_READ: Final = 64 << 10
_EVENTS: Final = 256
"""Of one answer in one go: what has come already is read without waiting, and others want their turn."""
_PIECE: Final = 256 << 10


class Answer(NamedTuple):
    """An answer as it came. ``body``: whoever got it closes it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: Spool

    def header(self, name: bytes) -> str | None:
        """The first header of that (lower-case) name."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), None)


async def exchange(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    target: Target,
    spool: Path | None,
    sink: Sink | None = None,
) -> Answer:
    """Sends the request and reads the whole answer; a large body goes into a file in ``spool``, that of an
    answer that succeeds to ``sink``, if there is one.

    Raises ``Failed``: protocol or too-large; and what ``sink`` does.
    """
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    body = Spool(spool)
    sending: asyncio.Task[None] | None = None
    try:
        # Not drained: an answer may come before the body was read, and the body is limited.
        writer.write(_request_bytes(connection, target))
        if isinstance(target.body, FileBody):
            sending = asyncio.create_task(_send_file(connection, writer, target.body))
        head = await _answer(connection, reader, _Intake(body, sink))
        return Answer(head.status_code, list(head.headers), body)
    except BaseException as error:
        body.close()
        raise _meaning(error) from error
    finally:
        if sending is not None:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


def _meaning(error: BaseException) -> BaseException:
    """What an error of an exchange says to the guest."""
    if isinstance(error, h11.RemoteProtocolError):
        return Failed("protocol", f"the server does not speak HTTP/1.1 correctly: {error}")
    if isinstance(error, h11.LocalProtocolError):
        return Failed("protocol", f"the request cannot be sent: {error}")
    if isinstance(error, OSError):
        return Failed("protocol", f"the connection broke: {error}")
    return error


async def _send_file(connection: h11.Connection, writer: asyncio.StreamWriter, body: FileBody) -> None:
    """Sends a body while the answer may come already."""
    try:
        for at in range(0, body.size, _PIECE):
            piece = await asyncio.to_thread(_read, body.path, at)
            writer.write(connection.send(h11.Data(data=piece)))
            await writer.drain()
        writer.write(connection.send(h11.EndOfMessage()))
    except (OSError, h11.LocalProtocolError) as error:
        _log.warning("request_not_sent_whole", error=str(error))
        # Who waits for the answer learns that the connection is gone.
        writer.transport.abort()


def _read(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(_PIECE)


def _request_bytes(connection: h11.Connection, target: Target) -> bytes:
    """The whole request, or all of it but its body if that is a file."""
    headers = [
        ("host", target.authority),
        *target.headers,
        ("accept-encoding", "identity"),
        ("connection", "close"),
    ]
    size = target.body.size if isinstance(target.body, FileBody) else len(target.body)
    if size or target.method in ("POST", "PUT", "PATCH"):
        headers.append(("content-length", str(size)))
    encoded = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
    request = h11.Request(method=target.method, target=target.path, headers=encoded)
    head: bytes = connection.send(request)
    if isinstance(target.body, FileBody):
        return head
    body: bytes = connection.send(h11.Data(data=target.body)) if target.body else b""
    return head + body + connection.send(h11.EndOfMessage())


class _Intake:
    """Takes an answer's body as it comes. ``begin``: when its status is known."""

    __slots__ = ("_body", "_pieces", "_sink", "_size")

    def __init__(self, body: Spool, sink: Sink | None) -> None:
        self._body = body
        self._sink = sink
        self._size = self._pieces = 0

    def begin(self, status: int) -> None:
        if not 200 <= status < 300:
            self._sink = None

    async def add(self, data: bytes | bytearray) -> None:
        large = self._sink is not None
        self._pieces += 1
        self._size += len(data)
        most = MAX_PIECES + (self._size >> 10 if large else 0)
        if self._pieces > most:
            raise Failed("protocol", f"the answer's body comes in more than {most} pieces")
        limit = MAX_ARTIFACT if large else MAX_BODY
        if self._size > limit:
            raise Failed("too-large", f"the answer's body is larger than {limit} bytes")
        if self._sink is None:
            await self._body.add(data)
        else:
            await self._sink.write(bytes(data))


async def _answer(connection: h11.Connection, reader: asyncio.StreamReader, body: _Intake) -> h11.Response:
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
            body.begin(head.status_code)
        elif isinstance(event, h11.Data):
            await body.add(event.data)
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return head
        else:
            break
    raise Failed("protocol", "the server closed the connection before it answered")

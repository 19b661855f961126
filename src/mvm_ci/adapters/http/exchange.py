"""One request and its answer on one connection that is used for nothing else."""

import asyncio
from pathlib import Path
from typing import Final, NamedTuple

import h11
import structlog

from mvm_ci.adapters.http.target import Failed, Target
from mvm_ci.domain.artifact import MAX_ARTIFACT
from mvm_ci.ports.http_client import FileBody, Sink

_log = structlog.get_logger(__name__)
MAX_BODY: Final = 8 << 20
MAX_HEAD: Final = 64 << 10
_MAX_INFORMATIONAL: Final = 8
_READ: Final = 64 << 10
_PIECE: Final = 256 << 10


class Answer(NamedTuple):
    """An answer as it came."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> str | None:
        """The first header of that (lower-case) name."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), None)


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Target, sink: Sink | None = None
) -> Answer:
    """Sends the request and reads the whole answer; ``sink`` gets the body of one that succeeds. Raises
    ``Failed`` (protocol or too-large), and what ``sink`` does.
    """
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    sending: asyncio.Task[None] | None = None
    try:
        # Not drained: an answer may come before the body was read, and the body is limited.
        writer.write(_request_bytes(connection, target))
        if isinstance(target.body, FileBody):
            sending = asyncio.create_task(_send_file(connection, writer, target.body))
        return await _answer(connection, reader, sink)
    except h11.RemoteProtocolError as error:
        raise Failed("protocol", f"the server does not speak HTTP/1.1 correctly: {error}") from error
    except h11.LocalProtocolError as error:
        raise Failed("protocol", f"the request cannot be sent: {error}") from error
    except OSError as error:
        raise Failed("protocol", f"the connection broke: {error}") from error
    finally:
        if sending is not None:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


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


class _Body:
    """An answer's body as it comes. ``begin``: when its status is known."""

    __slots__ = ("_limit", "_sink", "_size", "whole")

    def __init__(self, sink: Sink | None) -> None:
        self.whole = bytearray()
        self._sink = sink
        self._size = 0
        self._limit = MAX_BODY

    def begin(self, status: int) -> None:
        if not 200 <= status < 300:
            self._sink = None
        self._limit = MAX_BODY if self._sink is None else MAX_ARTIFACT

    async def take(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            raise Failed("too-large", f"the answer's body is larger than {self._limit} bytes")
        if self._sink is None:
            self.whole += data
        else:
            await self._sink.write(data)


async def _answer(connection: h11.Connection, reader: asyncio.StreamReader, sink: Sink | None) -> Answer:
    head: h11.Response | None = None
    body = _Body(sink)
    informational = 0
    while True:
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
            await body.take(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return Answer(head.status_code, list(head.headers), bytes(body.whole))
        else:
            raise Failed("protocol", "the server closed the connection before it answered")

"""Requests whose body is a file, and answers that go to a sink, against real servers on the loopback
interface.
"""

import asyncio
import os
from pathlib import Path

import pytest

from mvm_ci.adapters.http import exchange
from mvm_ci.adapters.http.client import GuestHttpClient
from mvm_ci.adapters.http.exchange import MAX_BODY
from mvm_ci.domain.http import HttpFailure, HttpRequest
from mvm_ci.ports.http_client import FetchedResponse, FileBody
from tests.integration.servers import Server, ok, redirect, serving
from tests.integration.test_http_client import ANY, OPEN, answered, kind, request, resolving

LARGE = MAX_BODY + 1_000_000


class Gathered:
    """A sink; ``refuse``: after so many bytes."""

    def __init__(self, refuse: int | None = None) -> None:
        self.data = bytearray()
        self.pieces = 0
        self.refuse = refuse

    async def write(self, data: bytes) -> None:
        if self.refuse is not None and len(self.data) >= self.refuse:
            raise OverflowError("no more")
        self.data += data
        self.pieces += 1


@pytest.fixture
def file(tmp_path: Path) -> FileBody:
    path = tmp_path / "body"
    path.write_bytes(os.urandom(1 << 16) * 20)
    return FileBody(path, 20 << 16)


async def fetch(
    asked: HttpRequest, *, body: FileBody | None = None, sink: Gathered | None = None
) -> FetchedResponse | HttpFailure:
    client = GuestHttpClient(OPEN, resolve=resolving(["127.0.0.1"]))
    try:
        return await client.fetch(asked, allow_hosts=ANY, idempotency_key="key-1", body=body, sink=sink)
    finally:
        await client.close()


def url(server: Server, path: str = "/") -> str:
    return f"http://service.test:{server.port}{path}"


def body_of(seen: bytes) -> bytes:
    return seen.partition(b"\r\n\r\n")[2]


# ---------------------------------------------------------------- answers


async def test_an_answer_of_any_size_goes_to_the_sink() -> None:
    sink, content = Gathered(), os.urandom(LARGE)
    async with serving(lambda _: ok(content)) as server:
        result = answered(await fetch(request(url(server)), sink=sink))
    assert (result.status, result.body) == (200, b"")
    assert sink.data == content
    assert sink.pieces > 20


async def test_an_answer_without_a_body() -> None:
    sink = Gathered()
    async with serving(lambda _: b"HTTP/1.1 204 No Content\r\n\r\n") as server:
        assert answered(await fetch(request(url(server)), sink=sink)).status == 204
    assert sink.pieces == 0


@pytest.mark.parametrize("status", [199 + 101, 404, 500])
async def test_only_a_success_goes_there(status: int) -> None:
    sink = Gathered()
    answer = f"HTTP/1.1 {status} X\r\nContent-Length: 4\r\n\r\nbody".encode()
    async with serving(lambda _: answer) as server:
        result = answered(await fetch(request(url(server)), sink=sink))
    assert (result.status, result.body, sink.pieces) == (status, b"body", 0)


async def test_what_is_no_success_has_the_limit_of_memory() -> None:
    content = bytes(MAX_BODY + 1)
    head = b"HTTP/1.1 404 X\r\nContent-Length: %d\r\n\r\n" % len(content)
    async with serving(lambda _: head + content) as server:
        assert kind(await fetch(request(url(server)), sink=Gathered())) == "too-large"


async def test_a_redirect_s_own_body_does_not_go_there() -> None:
    sink = Gathered()
    moved = b"HTTP/1.1 302 X\r\nLocation: /there\r\nContent-Length: 5\r\n\r\nmoved"
    async with serving(lambda seen: ok(b"found") if b"/there" in seen else moved) as server:
        answered(await fetch(request(url(server)), sink=sink))
    assert sink.data == b"found"


async def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "MAX_ARTIFACT", 100_000)
    async with serving(lambda _: ok(bytes(100_001))) as server:
        assert kind(await fetch(request(url(server)), sink=Gathered())) == "too-large"


async def test_a_sink_that_takes_no_more_ends_the_request() -> None:
    async with serving(lambda _: ok(bytes(LARGE))) as server:
        with pytest.raises(OverflowError, match="no more"):
            await fetch(request(url(server)), sink=Gathered(refuse=100_000))


async def test_half_an_answer_is_a_failure() -> None:
    async with serving(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf") as server:
        assert kind(await fetch(request(url(server)), sink=Gathered())) == "protocol"


# ---------------------------------------------------------------- bodies


async def test_a_file_is_sent_with_its_length(file: FileBody) -> None:
    # The server of these tests reads bodies of up to a mebibyte.
    small = FileBody(file.path, 600_000)
    file.path.write_bytes(file.path.read_bytes()[:600_000])
    async with serving(lambda _: ok()) as server:
        answered(await fetch(request(url(server), "PUT"), body=small))
    assert body_of(server.seen[0]) == file.path.read_bytes()
    assert b"content-length: 600000\r\n" in server.seen[0].lower()


async def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    async with serving(lambda _: ok()) as server:
        answered(await fetch(request(url(server), "PUT"), body=FileBody(path, 0)))
    assert b"content-length: 0\r\n" in server.seen[0].lower()


async def test_a_large_file_whole() -> None:
    content = os.urandom(1 << 20) * 12
    came = bytearray()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while len(came) < len(content):
            came.extend(await reader.read(1 << 16))
        writer.write(ok())
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(take, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    path = Path("/proc/self/fd") / str(os.memfd_create("content"))
    await asyncio.to_thread(path.write_bytes, content)
    try:
        asked = request(f"http://service.test:{port}/", "PUT")
        answered(await fetch(asked, body=FileBody(path, len(content))))
    finally:
        os.close(int(path.name))
        listener.close()
        await listener.wait_closed()
    assert came == content


@pytest.mark.parametrize(("status", "method", "sent"), [(307, b"PUT", True), (303, b"GET", False)])
async def test_a_redirect_takes_it_along_or_not(
    file: FileBody, status: int, method: bytes, *, sent: bool
) -> None:
    file.path.write_bytes(b"content")
    body = FileBody(file.path, 7)

    def reply(seen: bytes) -> bytes:
        return ok() if b"/there" in seen else redirect("/there", status)

    async with serving(reply) as server:
        answered(await fetch(request(url(server), "PUT"), body=body))
    assert [body_of(seen) for seen in server.seen] == [b"content", b"content" if sent else b""]
    assert server.seen[1].startswith(method)


async def test_an_answer_before_the_body_is_read_counts(file: FileBody) -> None:
    """A server that refuses does not read on; what is still to be sent is given up."""
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
    async with serving(lambda _: refusal) as server:
        result = await fetch(request(url(server), "PUT"), body=file)
    # It may have closed so early that its answer was lost with the connection.
    assert isinstance(result, HttpFailure) or (result.status, result.body) == (413, b"no")


async def test_a_file_that_is_gone_is_a_failure(file: FileBody) -> None:
    file.path.unlink()
    # So small that the server answers only when it has read it.
    body = FileBody(file.path, 1 << 16)
    async with serving(lambda _: ok()) as server:
        assert kind(await fetch(request(url(server), "PUT"), body=body)) == "protocol"


async def test_a_file_that_is_too_short_is_a_failure(file: FileBody) -> None:
    file.path.write_bytes(b"short")
    async with serving(lambda _: ok()) as server:
        assert kind(await fetch(request(url(server), "PUT"), body=FileBody(file.path, 9))) == "protocol"

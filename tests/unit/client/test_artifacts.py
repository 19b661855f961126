"""Downloads that are broken off and go on, and uploads that are not needed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from mvm_ci.client import ApiClient, Client, patience
from mvm_ci.domain import errors

JOB = "j01h2xk9q0w0c4"
DATA = bytes(range(256)) * 400


class Cut(httpx.AsyncByteStream):
    """Some bytes, then the connection is lost."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data
        raise httpx.ReadError("connection lost")


def client(handler: Callable[[httpx.Request], httpx.Response]) -> ApiClient:
    return ApiClient("http://control.test", "mvm_api_secret", transport=httpx.MockTransport(handler))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_PAUSES", (0.0,))


class Server:
    """Serves ``data`` with parts; the first ``cuts`` answers stop after as many bytes, or (0) are a 503."""

    def __init__(self, data: bytes, *cuts: int) -> None:
        self.data = data
        self.digest = sha256(data).hexdigest()
        self.cuts = list(cuts)
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.headers.get("range", ""))
        assert request.url.raw_path.decode() == f"/v1/jobs/{JOB}/artifacts/a%2Fb%20c"
        etag = f'"{self.digest}"'
        start = 0
        if self.asked[-1] and request.headers["if-range"] == etag:
            start = int(self.asked[-1].removeprefix("bytes=").removesuffix("-"))
        rest = self.data[start:]
        headers = {"etag": etag, "content-length": str(len(rest))}
        status = 206 if start else 200
        if not self.cuts:
            return httpx.Response(status, content=rest, headers=headers)
        cut = self.cuts.pop(0)
        if cut == 0:
            problem = {"type": "x", "title": "t", "status": 503, "code": "unavailable", "detail": "restarts"}
            return httpx.Response(503, content=json.dumps(problem).encode())
        return httpx.Response(status, stream=Cut(rest[:cut]), headers=headers)


async def whole(server: Server) -> bytes:
    async with client(server) as control:
        return b"".join([piece async for piece in control.artifact(JOB, "a/b c")])


async def test_a_download_goes_on_where_it_was_broken_off() -> None:
    server = Server(DATA, 1_000, 0, 2_000)
    assert await whole(server) == DATA
    assert server.asked == ["", "bytes=1000-", "bytes=1000-", "bytes=3000-"]


@pytest.mark.parametrize("data", [b"", b"x", DATA])
async def test_a_download(data: bytes) -> None:
    assert await whole(Server(data)) == data


async def test_what_was_all_there_is_not_asked_for_again() -> None:
    server = Server(DATA, len(DATA))
    assert await whole(server) == DATA
    assert server.asked == [""]


async def test_another_artifact_under_the_name_is_not_mixed_with_the_first() -> None:
    server = Server(DATA, 1_000)

    async with client(server) as control:
        pieces = control.artifact(JOB, "a/b c")
        assert await anext(aiter(pieces)) == DATA[:1_000]
        server.data = DATA[::-1]
        server.digest = sha256(server.data).hexdigest()
        with pytest.raises(errors.Conflict, match="read it again"):
            await anext(aiter(pieces))


async def test_damaged_bytes_are_not_taken_for_whole() -> None:
    server = Server(DATA)
    server.digest = sha256(b"other").hexdigest()
    with pytest.raises(errors.ProtocolError, match="damaged"):
        await whole(server)


@pytest.mark.parametrize("headers", [{}, {"etag": '"x"'}])
async def test_an_answer_of_something_else(headers: dict[str, str]) -> None:
    stream = httpx.Response(200, stream=Cut(b"x"), headers=headers)
    async with client(lambda _: stream) as control:
        with pytest.raises(errors.ProtocolError):
            [piece async for piece in control.artifact(JOB, "x")]


async def test_what_is_not_there_is_said_at_once() -> None:
    problem = {"type": "x", "title": "t", "status": 404, "code": "not-found", "detail": "none"}
    answer = httpx.Response(404, content=json.dumps(problem).encode())
    async with client(lambda _: answer) as control:
        with pytest.raises(errors.NotFound, match=r"^none$"):
            [piece async for piece in control.artifact(JOB, "x")]


class Uploads:
    """Takes uploads, and says what it holds."""

    def __init__(self, *held: bytes) -> None:
        self.held = {sha256(data).hexdigest(): data for data in held}
        self.put: list[tuple[dict[str, str], bytes]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        digest = request.url.path.rpartition("/")[2]
        if request.method == "PUT":
            self.put.append((dict(request.headers), request.read()))
            self.held[digest] = request.content
        if digest not in self.held:
            problem = {"type": "x", "title": "t", "status": 404, "code": "not-found", "detail": "none"}
            return httpx.Response(404, content=json.dumps(problem).encode())
        view = {"digest": digest, "size": len(self.held[digest])}
        return httpx.Response(200, content=json.dumps(view).encode())


@pytest.mark.parametrize("data", [b"", DATA * 20])
def test_an_upload_of_a_file(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "data"
    file.write_bytes(data)
    uploads = Uploads()
    with Client("http://control.test", "token", transport=httpx.MockTransport(uploads)) as control:
        for content in (file, data):
            view = control.upload(content)
            assert (view.digest, view.size) == (sha256(data).hexdigest(), len(data))
    [(headers, came)] = uploads.put
    assert came == data
    assert headers["content-length"] == str(len(data))
    assert "transfer-encoding" not in headers


async def test_an_upload_of_what_is_held_does_not_travel() -> None:
    uploads = Uploads(DATA)
    async with client(uploads) as control:
        assert (await control.upload(DATA)).size == len(DATA)
    assert uploads.put == []

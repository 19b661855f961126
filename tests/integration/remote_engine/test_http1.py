"""The HTTP client of a worker whose engine is elsewhere: what servers may answer, over TCP and over P2P."""

import asyncio
import contextlib
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import pytest

from mvm_ci.adapters.remote_engine import http1
from mvm_ci.adapters.remote_engine.calls import Calls
from mvm_ci.adapters.remote_engine.http1 import MAX_ANSWER, MAX_HEAD, Http
from mvm_ci.adapters.remote_engine.p2p import PeerWay
from mvm_ci.adapters.remote_engine.tcp import TcpLine, engine_at
from mvm_ci.domain.errors import MvmCiError, QueueFull, Refused, Unavailable
from mvm_ci.ports.transport import Connection, Stream
from mvm_ci.serving.limits import KEEP_ALIVE_S
from mvm_ci.testing.clock import settle
from mvm_ci.testing.transport import MemoryConnection, MemoryNetwork, MemoryTransport
from tests.integration.remote_engine.scripted_engine import CLIENT, PATIENCE_S, grant

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
BEGUN = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"


class Caller(Protocol):
    """The server's end of a connection."""

    async def read(self) -> bytes: ...
    async def write(self, data: bytes) -> None: ...
    async def finish(self) -> None: ...
    async def reset(self) -> None: ...


class TcpCaller:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        return await self._reader.read(1 << 20)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def finish(self) -> None:
        self._writer.close()

    async def reset(self) -> None:
        self._writer.transport.abort()


class Server:
    """``http``: what asks it. ``opened``: how many connections were made to it."""

    def __init__(self) -> None:
        self.http: Http
        self.opened = 0
        self.came: asyncio.Queue[Caller] = asyncio.Queue()
        self.writers: list[asyncio.StreamWriter] = []
        self.connections: list[MemoryConnection] = []

    def take(self, caller: Caller) -> None:
        self.opened += 1
        self.came.put_nowait(caller)

    def take_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        self.take(TcpCaller(reader, writer))

    async def asked(self, caller: Caller | None = None) -> tuple[Caller, bytes]:
        """The next request: on a new connection, or on this one."""
        async with asyncio.timeout(PATIENCE_S):
            caller = caller or await self.came.get()
            request = b""
            while b"\r\n\r\n" not in request:
                request += await caller.read()
            return caller, request

    async def answered(self, *pieces: bytes, ends: bool = False) -> tuple[int, bytes]:
        """What a call hears that is answered like this on a new connection."""
        asking = asyncio.create_task(self.http.ask("GET", "/x"))
        caller, _ = await self.asked()
        await say(caller, *pieces)
        if ends:
            await caller.finish()
        async with asyncio.timeout(PATIENCE_S):
            return await asking


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not fact():
            await settle()


async def say(caller: Caller, *pieces: bytes) -> None:
    """Each arrives by itself, as far as that can be told."""
    for piece in pieces:
        await caller.write(piece)
        await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def over_tcp(trust: ssl.SSLContext) -> AsyncIterator[Server]:
    made = Server()
    listener = await asyncio.start_server(made.take_tcp, "127.0.0.1", 0)
    made.http = engine_at(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/base/", trust)
    try:
        yield made
    finally:
        await made.http.close()
        listener.close()
        for writer in made.writers:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def over_p2p(_: ssl.SSLContext) -> AsyncIterator[Server]:
    made, transport = Server(), MemoryTransport(MemoryNetwork())
    near, far = [
        await transport.bind(secret_key=key * 32, address="127.0.0.1:0", alpns=[b"x"]) for key in (b"n", b"f")
    ]

    async def accept(connection: Connection) -> None:
        with contextlib.suppress(Unavailable):
            while True:
                made.take(await connection.accept())

    async def dial(limit_s: float | None) -> Connection:
        connection = await near.connect(far.ticket(), limit_s or PATIENCE_S)
        accepted = await far.accept()
        made.connections.append(accepted)
        tasks.append(asyncio.create_task(accept(accepted)))
        return connection

    tasks: list[asyncio.Task[None]] = []
    made.http = Http(PeerWay(dial), "engine.p2p", "/base")
    try:
        yield made
    finally:
        await made.http.close()
        await near.close()
        await far.close()
        await asyncio.gather(*tasks)


@pytest.fixture(scope="module")
def trust() -> ssl.SSLContext:
    return ssl.create_default_context()


@pytest.fixture(params=[over_tcp, over_p2p], ids=["tcp", "p2p"])
async def server(request: pytest.FixtureRequest, trust: ssl.SSLContext) -> AsyncIterator[Server]:
    async with request.param(trust) as made:
        yield made


@pytest.fixture
async def tcp(trust: ssl.SSLContext) -> AsyncIterator[Server]:
    async with over_tcp(trust) as made:
        yield made


@pytest.fixture
async def p2p(trust: ssl.SSLContext) -> AsyncIterator[Server]:
    async with over_p2p(trust) as made:
        yield made


# -------------------------------------------------------------------- answers


async def test_a_request_says_what_it_must(server: Server) -> None:
    asking = asyncio.create_task(server.http.ask("POST", "/x", "authorization: Bearer t\r\n", b"[1]"))
    caller, request = await server.asked()
    head, _, body = request.partition(b"\r\n\r\n")
    first, *headers = head.split(b"\r\n")
    assert (first, body) == (b"POST /base/x HTTP/1.1", b"[1]")
    names = dict(line.split(b": ") for line in headers)
    host = names.pop(b"host")
    assert host == b"engine.p2p" or host.startswith(b"127.0.0.1:")
    assert names == {b"authorization": b"Bearer t", b"content-length": b"3"}
    await caller.write(OK)
    assert await asking == (200, b"{}")


@pytest.mark.parametrize(
    ("pieces", "ends", "answer"),
    [
        ((OK,), False, (200, b"{}")),
        (tuple(OK[at : at + 1] for at in range(len(OK))), False, (200, b"{}")),
        ((CHUNKED, b"1\r\n{\r\n", b"1\r\n}", b"\r\n0\r", b"\n\r\n"), False, (200, b"{}")),
        ((CHUNKED + b"1;ext=1\r\n{\r\n1\r\n}\r\n0\r\ntrailer: 1\r\n\r\n",), False, (200, b"{}")),
        ((b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",), False, (200, b"")),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), False, (204, b"")),
        ((b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK,), False, (200, b"{}")),
        ((b"HTTP/1.1 100 Continue\r\n\r\n", OK), False, (200, b"{}")),
        ((b"HTTP/1.0 200 OK\r\n\r\n{", b"}"), True, (200, b"{}")),
        ((b"HTTP/1.1 302 Found\r\nlocation: /y\r\ncontent-length: 0\r\n\r\n",), False, (302, b"")),
    ],
    ids=[
        "length",
        "bytes",
        "chunks",
        "trailer",
        "empty",
        "204",
        "hints",
        "continue",
        "to-the-end",
        "redirect",
    ],
)
async def test_an_answer_is_whole_however_it_comes(
    server: Server, pieces: tuple[bytes, ...], *, ends: bool, answer: tuple[int, bytes]
) -> None:
    assert await server.answered(*pieces, ends=ends) == answer
    assert server.opened == 1


@pytest.mark.parametrize(
    ("pieces", "ends", "says"),
    [
        ((), True, "hung up without an answer"),
        ((OK[:20],), True, "in the middle of an answer"),
        ((OK[:-1],), True, "in the middle of an answer"),
        ((CHUNKED + b"1\r\n{\r\n",), True, "in the middle of an answer"),
        ((b"SSH-2.0-x\r\n\r\n",), False, "not go on in HTTP/1.1"),
        ((CHUNKED + b"x\r\n",), False, "not go on in HTTP/1.1"),
        ((b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",), False, "not go on in"),
        ((b"HTTP/1.1 200 OK\r\nx: " + b"y" * MAX_HEAD,), False, "the head of an answer has more"),
        ((b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * (MAX_HEAD // 6 + 1),), False, "the head of an answer"),
        ((CHUNKED + b"1\r\n{\r\n0\r\n", b"x: " + b"y" * MAX_HEAD), False, "the head of an answer has more"),
        ((CHUNKED + b"%x\r\n" % (2 * MAX_ANSWER), b"x" * (MAX_ANSWER + 1)), False, "answered with more than"),
    ],
)
async def test_an_answer_that_is_none_is_an_error(
    server: Server, pieces: tuple[bytes, ...], *, ends: bool, says: str
) -> None:
    with pytest.raises(Unavailable, match=says):
        await server.answered(*pieces, ends=ends)
    assert (await server.answered(OK))[0] == 200
    assert server.opened == 2


@pytest.mark.parametrize("pieces", [(), (BEGUN,)])
async def test_a_connection_that_is_broken_off_is_an_error(server: Server, pieces: tuple[bytes, ...]) -> None:
    asking = asyncio.create_task(server.http.ask("GET", "/x"))
    caller, _ = await server.asked()
    await say(caller, *pieces)
    await caller.reset()
    with pytest.raises(Unavailable):
        await asking


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b'{"detail":"wrong"}', Refused),
        (404, b'{"detail":"unknown"}', Unavailable),
        (429, b'{"detail":"full"}', QueueFull),
        (503, b'{"detail":"stopping"}', Unavailable),
        (502, b"<html>", Unavailable),
        (302, b"", Unavailable),
        (200, b"<html>", Unavailable),
    ],
)
async def test_what_an_answer_means(server: Server, status: int, body: bytes, kind: type[MvmCiError]) -> None:
    async def token() -> str:
        return "t"

    calls = Calls(server.http, CLIENT, token)
    asking = asyncio.create_task(calls.place([grant(1)], 0))
    caller, _ = await server.asked()
    await caller.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body))
    with pytest.raises(kind) as raised:
        await asking
    assert (type(raised.value) is Unavailable) == (kind is Unavailable and status != 404)


# -------------------------------------------------------------------- connections that are kept


async def test_calls_one_after_the_other_share_a_connection(server: Server) -> None:
    asking = asyncio.create_task(server.http.ask("GET", "/x"))
    caller, _ = await server.asked()
    await caller.write(OK)
    await asking
    asking = asyncio.create_task(server.http.ask("GET", "/y"))
    _, request = await server.asked(caller)
    assert request.startswith(b"GET /base/y ")
    await caller.write(OK)
    assert await asking == (200, b"{}")
    assert server.opened == 1


async def test_a_call_does_not_wait_for_another(server: Server) -> None:
    slow = asyncio.create_task(server.http.ask("GET", "/slow"))
    caller, _ = await server.asked()
    assert await server.answered(OK) == (200, b"{}")
    await caller.write(OK)
    assert await slow == (200, b"{}")
    assert server.opened == 2


@pytest.mark.parametrize(
    "last",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{} ",
        OK + b"HTTP/1.1 408 Late\r\ncontent-length: 0\r\n\r\n",
        OK + b"nonsense",
    ],
)
async def test_a_connection_that_cannot_be_kept_is_not(server: Server, last: bytes) -> None:
    assert await server.answered(last) == (200, b"{}")
    assert await server.answered(OK) == (200, b"{}")
    assert server.opened == 2


@pytest.mark.parametrize("word", [b"", b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n"])
async def test_a_kept_connection_that_the_server_ended_costs_no_call(tcp: Server, word: bytes) -> None:
    asking = asyncio.create_task(tcp.http.ask("GET", "/x"))
    caller, _ = await tcp.asked()
    await caller.write(OK)
    await asking
    await caller.write(word)
    await caller.finish()
    await until(lambda: not tcp.http._kept[0].fit())
    assert await tcp.answered(OK) == (200, b"{}")
    assert tcp.opened == 2


async def test_a_connection_to_the_peer_that_is_gone_costs_no_call(p2p: Server) -> None:
    assert await p2p.answered(OK) == (200, b"{}")
    p2p.connections[0].cut()
    assert await p2p.answered(OK) == (200, b"{}")
    assert len(p2p.connections) == 2


async def test_a_connection_that_rested_for_long_is_not_used(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await server.answered(OK) == (200, b"{}")
    monkeypatch.setattr(http1, "KEEP_S", 0.0)
    assert await server.answered(OK) == (200, b"{}")
    assert server.opened == 2


def test_our_engine_ends_no_connection_that_may_be_used_again() -> None:
    assert http1.KEEP_S < KEEP_ALIVE_S / 2


async def test_nothing_is_sent_twice(server: Server) -> None:
    assert await server.answered(OK) == (200, b"{}")
    kept = server.http._kept[0]
    asking = asyncio.create_task(server.http.ask("GET", "/y"))
    await until(lambda: not server.http._kept)
    await kept._line.close()
    with pytest.raises(Unavailable):
        await asking
    assert server.opened == 1


async def test_the_answer_to_a_call_that_was_given_up_is_nobody_else_s(server: Server) -> None:
    asking = asyncio.create_task(server.http.ask("GET", "/x"))
    await server.asked()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await server.answered(OK) == (200, b"{}")
    assert server.opened == 2


# -------------------------------------------------------------------- silence, and the end


@pytest.mark.parametrize("pieces", [(), (OK[:20],), (BEGUN,)])
async def test_a_server_that_says_nothing_more_is_late(
    server: Server, monkeypatch: pytest.MonkeyPatch, pieces: tuple[bytes, ...]
) -> None:
    monkeypatch.setattr(http1, "CALL_S", 0.05)
    with pytest.raises(Unavailable, match=r"no answer within 0\.05 s \(while reading\); is it the engine"):
        await server.answered(*pieces)


async def test_a_server_that_takes_nothing_is_late(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "CALL_S", 0.05)
    with pytest.raises(Unavailable, match=r"while sending"):
        await server.http.ask("POST", "/x", body=bytes(64 << 20))


async def test_a_peer_whose_streams_do_not_open_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck(MemoryConnection):
        async def open(self) -> Stream:  # type: ignore[override]
            await asyncio.Event().wait()
            raise AssertionError

    async def dial(_: float | None) -> Connection:
        return Stuck("a" * 64, b"x")

    monkeypatch.setattr(http1, "CALL_S", 0.05)
    with pytest.raises(Unavailable, match="while connecting"):
        await Http(PeerWay(dial), "engine.p2p").ask("GET", "/x")


@pytest.mark.parametrize("pieces", [(), (BEGUN,)])
async def test_closing_ends_the_calls_that_are_under_way(server: Server, pieces: tuple[bytes, ...]) -> None:
    assert await server.answered(OK) == (200, b"{}")
    asking = [asyncio.create_task(server.http.ask("GET", "/x")) for _ in range(2)]
    caller, _ = await server.asked()
    await say(caller, *pieces)
    async with asyncio.timeout(PATIENCE_S):
        await server.http.close()
        for one in asking:
            with pytest.raises(Unavailable):
                await one
    with pytest.raises(Unavailable, match="given up"):
        await server.http.ask("GET", "/x")
    assert await caller.read() == b"" if isinstance(caller, TcpCaller) else True


async def test_closing_while_the_peer_is_dialled_ends_that(trust: ssl.SSLContext) -> None:
    dialling, may = asyncio.Event(), asyncio.Event()
    made = MemoryConnection("a" * 64, b"x")
    made.other = MemoryConnection("b" * 64, b"x")

    async def dial(_: float | None) -> Connection:
        dialling.set()
        await may.wait()
        return made

    http = Http(PeerWay(dial), "engine.p2p")
    asking = asyncio.create_task(http.ask("GET", "/x"))
    await dialling.wait()
    await http.close()
    may.set()
    with pytest.raises(Unavailable, match="given up"):
        await asking
    assert made.gone


@pytest.mark.parametrize(
    "url", ["", "engine", "ftp://x", "http://", "http://[x", "http://x:port", "http://x..y"]
)
def test_what_is_no_address(trust: ssl.SSLContext, url: str) -> None:
    with pytest.raises(Unavailable, match="is no address of an engine"):
        engine_at(url, trust)


# -------------------------------------------------------------------- the long answer


async def begun(server: Server, head: bytes = CHUNKED) -> tuple[Caller, http1.Wire]:
    beginning = asyncio.create_task(server.http.begin("/events"))
    caller, _ = await server.asked()
    await caller.write(head)
    async with asyncio.timeout(PATIENCE_S):
        return caller, await beginning


async def test_a_long_answer_is_read_as_it_comes(server: Server) -> None:
    caller, wire = await begun(server)
    pieces = wire.pieces()
    for said in (b"one", b"two", b"x" * 100_000):
        await caller.write(b"%x\r\n%s\r\n" % (len(said), said))
        got = b""
        while len(got) < len(said):
            got += await asyncio.wait_for(anext(pieces), PATIENCE_S)
        assert got == said
    # Other calls go on meanwhile.
    assert await server.answered(OK) == (200, b"{}")
    await caller.write(b"0\r\n\r\n")
    assert [piece async for piece in pieces] == []
    await wire.close()


@pytest.mark.parametrize("late", [False, True])
async def test_a_long_answer_that_is_cut_ends_after_what_came(server: Server, *, late: bool) -> None:
    caller, wire = await begun(server, CHUNKED + (b"" if late else b"1\r\n{\r\n"))
    if late:
        await caller.write(b"1\r\n{\r\n")
    await caller.finish()
    pieces = wire.pieces()
    assert await asyncio.wait_for(anext(pieces), PATIENCE_S) == b"{"
    with pytest.raises(Unavailable, match="in the middle"):
        await anext(pieces)
    await wire.close()


async def test_no_more_is_taken_from_the_network_than_is_read(tcp: Server) -> None:
    caller, wire = await begun(tcp)
    said = 64 << 20
    writing = asyncio.create_task(caller.write(b"%x\r\n%s\r\n0\r\n\r\n" % (said, bytes(said))))
    line = wire._line
    assert isinstance(line, TcpLine)
    await until(lambda: len(line._data) > 256 << 10)
    for _ in range(100):
        await settle()
    assert not writing.done()
    assert len(line._data) < 1 << 20
    read = 0
    async with asyncio.timeout(PATIENCE_S):
        async for piece in wire.pieces():
            read += len(piece)
        await writing
    assert read == said
    await wire.close()


async def test_events_in_pieces_are_events(server: Server) -> None:
    async def token() -> None:
        return None

    calls = Calls(server.http, CLIENT, token)
    events = calls.events()
    hearing = asyncio.ensure_future(anext(events))
    caller, _ = await server.asked()
    line = b'{"type":"lease-wanted","number":1}\n'
    await say(caller, CHUNKED, b"%x\r\n%s\r\n" % (5, line[:5]), b"%x\r\n%s\r\n" % (len(line) - 5, line[5:]))
    assert [event.number for event in await hearing] == [1]  # type: ignore[union-attr]
    await caller.write(b"%x\r\n%s\r\n" % (2 * len(line), 2 * line))
    assert len(await asyncio.wait_for(anext(events), PATIENCE_S)) == 2
    await caller.write(b"0\r\n\r\n")
    with pytest.raises(Unavailable, match="ended the stream"):
        await anext(events)


# -------------------------------------------------------------------- what it is made of


def test_a_worker_whose_engine_is_elsewhere_does_not_load_httpx() -> None:
    code = (
        "import sys, mvm_ci.wiring.running, mvm_ci.wiring.worker, mvm_ci.wiring.remote_engine\n"
        "print([name for name in ('httpx', 'httpcore', 'h11', 'anyio', 'wasmtime') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"

"""The API's server over real sockets: what a connection that sends no whole request can take of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from mvm_ci.control_plane.http_limits import HttpLimits
from mvm_ci.control_plane.server import ApiServer

PATIENCE_S = 30.0
LONG_S = 3_600
"""A limit that is not reached while a test runs."""
HEAD = 4 << 10
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"


class Application:
    """Answers when it is let; reads a body only if the path says so."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.let.set()
        self.began = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.began += 1
        if scope["path"] == "/body":
            size = 0
            more = True
            while more:
                message = await receive()
                size += len(message.get("body", b""))
                more = message.get("more_body", False)
        await self.let.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


class Peer:
    """A client that sends what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer."""
        async with asyncio.timeout(PATIENCE_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length")
            )
            return int(head.split()[1]), await self._reader.readexactly(length)

    async def closed(self) -> bytes:
        """Everything until the server closed the connection."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self._reader.read()
            except ConnectionError:
                return b""

    async def refused(self) -> tuple[int, str]:
        """Status and code of the problem with which the server closed the connection."""
        status, body = await self.answer()
        assert await self.closed() == b""
        found = json.loads(body)
        assert found["status"] == status
        return status, found["code"]

    def close(self) -> None:
        self._writer.close()


class Served:
    def __init__(self, server: ApiServer, application: Application) -> None:
        self.application = application
        self._port = int(server.url.rsplit(":", 1)[1])
        self._peers: list[Peer] = []

    async def peer(self) -> Peer:
        made = Peer(*await asyncio.open_connection("127.0.0.1", self._port))
        self._peers.append(made)
        return made

    def leave(self) -> None:
        for peer in self._peers:
            peer.close()


Serve = Callable[..., Any]


@asynccontextmanager
async def serving(**limits: Any) -> AsyncIterator[Served]:
    application = Application()
    chosen = {"head_bytes": HEAD, "head_s": LONG_S, "idle_s": LONG_S, "rest_s": LONG_S, **limits}
    server = ApiServer(application, "127.0.0.1", 0, 1.0, HttpLimits(**chosen))
    await server.start()
    served = Served(server, application)
    try:
        yield served
    finally:
        application.let.set()
        served.leave()
        await server.stop()


async def taken(peer: Peer, piece: bytes) -> int:
    """How many bytes of an endless stream the server takes; it ends by the connection's end, or at 1 GiB."""
    sent = 0
    try:
        while sent < 1 << 30:
            await peer.send(piece)
            sent += len(piece)
    except ConnectionError:
        pass
    return sent


async def works(served: Served) -> None:
    peer = await served.peer()
    await peer.send(GET)
    assert await peer.answer() == (200, b"ok")
    peer.close()


@pytest.mark.parametrize("begin", [b"G", b"GET / HTTP/1.1\r\n", GET[:-2], b"POST / HTTP/1.1\r\ncontent-le"])
async def test_half_a_head_and_nothing_more_is_answered_in_time_and_closed(begin: bytes) -> None:
    async with serving(head_s=0.2) as served:
        peer = await served.peer()
        await peer.send(begin)
        assert await peer.refused() == (408, "bad-input")
        assert served.application.began == 0
        await works(served)


async def test_a_head_that_trickles_has_no_more_time_than_one_that_stops() -> None:
    async with serving(head_s=0.5) as served:
        peer = await served.peer()

        async def trickle() -> None:
            await peer.send(b"GET / HTTP/1.1\r\n")
            while True:
                await peer.send(b"a: b\r\n")
                await asyncio.sleep(0.05)

        trickling = asyncio.create_task(trickle())
        assert await peer.refused() == (408, "bad-input")
        trickling.cancel()
        await asyncio.gather(trickling, return_exceptions=True)


async def test_half_a_second_head_is_closed_too() -> None:
    async with serving(head_s=0.2) as served:
        peer = await served.peer()
        await peer.send(GET)
        assert await peer.answer() == (200, b"ok")
        await peer.send(GET + GET[:9])
        assert await peer.answer() == (200, b"ok")
        assert await peer.refused() == (408, "bad-input")


async def test_a_head_in_pieces_is_a_head() -> None:
    async with serving(head_s=LONG_S) as served:
        peer = await served.peer()
        for at in range(len(GET)):
            await peer.send(GET[at : at + 1])
            await asyncio.sleep(0)
        assert await peer.answer() == (200, b"ok")


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize(
    "make",
    [
        lambda size: b"GET /" + b"a" * size + b" HTTP/1.1\r\n",
        lambda size: b"GET / HTTP/1.1\r\na: " + b"b" * size,
        lambda size: b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (size // 2),
        lambda size: b"GET / HTTP/1.1\r\n" + b"a" * size,
    ],
    ids=["path", "value", "headers", "name"],
)
async def test_a_huge_head_is_refused_whole_or_not(make: Callable[[int], bytes], *, ended: bool) -> None:
    async with serving() as served:
        peer = await served.peer()
        sending = asyncio.create_task(peer.send(make(8 * HEAD) + (b"\r\n\r\n" if ended else b"")))
        if not ended:
            # However much more comes, it is not kept: the connection is over.
            await asyncio.gather(sending, return_exceptions=True)
            sending = asyncio.create_task(peer.send(b"b" * HEAD))
        text = await peer.closed()
        # What was still on its way may have made the answer unreadable; never was it a request.
        assert text == b"" or b" 431 " in text.split(b"\r\n")[0] or b" 400 " in text.split(b"\r\n")[0]
        await asyncio.gather(sending, return_exceptions=True)
        assert served.application.began == 0
        await works(served)


async def test_a_head_of_an_endless_stream_costs_bounded_memory() -> None:
    async with serving() as served:
        peer = await served.peer()
        await peer.send(b"GET / HTTP/1.1\r\na: ")
        # What the kernel holds between two ends of a loopback, not what the server would have kept.
        assert await taken(peer, b"b" * (64 << 10)) < 64 << 20
        await works(served)


async def test_a_head_as_large_as_is_allowed_and_a_large_body_in_one_piece_are_taken() -> None:
    async with serving() as served:
        peer = await served.peer()
        value = b"a: " + b"b" * (HEAD - 200) + b"\r\n"
        body = bytes(8 * HEAD)
        await peer.send(POST.replace(b"/ ", b"/body ").replace(b"host", value + b"host") % len(body) + body)
        assert await peer.answer() == (200, b"ok")
        await peer.send((POST.replace(b"/ ", b"/body ") % len(body) + body) * 3)
        assert [await peer.answer() for _ in range(3)] == [(200, b"ok")] * 3


async def test_trailers_are_held_to_the_same_size() -> None:
    async with serving() as served:
        peer = await served.peer()
        await peer.send(
            b"POST /body HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"
        )
        assert await taken(peer, b"a: " + b"b" * HEAD + b"\r\n") < 64 << 20
        await works(served)


@pytest.mark.parametrize("requests", [0, 1])
async def test_a_connection_that_says_nothing_is_closed(requests: int) -> None:
    async with serving(idle_s=1) as served:
        peer = await served.peer()
        for _ in range(requests):
            await peer.send(GET)
            assert await peer.answer() == (200, b"ok")
        assert await peer.closed() == b""


async def test_the_rest_of_a_body_that_nobody_waits_for_has_a_time() -> None:
    async with serving(rest_s=0.2) as served:
        peer = await served.peer()
        await peer.send(POST % 1_000_000 + b"some")
        assert await peer.answer() == (200, b"ok")
        await peer.send(b"more")
        assert await peer.closed() == b""


async def test_a_request_that_is_answered_late_is_not_cut_off() -> None:
    async with serving(head_s=0.05, idle_s=1, rest_s=0.05) as served:
        served.application.let.clear()
        peer = await served.peer()
        await peer.send(GET + GET[:5])
        # Longer than each of the limits, by their own clock: another connection was closed meanwhile.
        other = await served.peer()
        assert await other.closed() == b""
        served.application.let.set()
        assert await peer.answer() == (200, b"ok")
        assert await peer.refused() == (408, "bad-input")


async def test_connections_beyond_the_limit_are_refused_and_those_that_stand_go_on() -> None:
    async with serving(connections=3) as served:
        standing = [await served.peer() for _ in range(3)]
        for peer in standing:
            await peer.send(GET)
            assert await peer.answer() == (200, b"ok")
        served.application.let.clear()
        await standing[0].send(GET)
        for _ in range(2):
            one_more = await served.peer()
            assert await one_more.refused() == (503, "unavailable")
        served.application.let.set()
        for peer in standing[1:]:
            await peer.send(GET)
        for peer in standing:
            assert await peer.answer() == (200, b"ok")
        standing[0].close()
        await until_taken(served)


async def until_taken(served: Served) -> None:
    """The server notices a moment later that there is room again."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            peer = await served.peer()
            await peer.send(GET)
            status, _ = await answered(peer.answer())
            peer.close()
            if status == 200:
                return


async def answered(waiting: Awaitable[tuple[int, bytes]]) -> tuple[int, bytes]:
    try:
        return await waiting
    except (ConnectionError, asyncio.IncompleteReadError):
        return 0, b""


async def test_what_is_no_http_is_a_problem() -> None:
    async with serving() as served:
        peer = await served.peer()
        await peer.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert await peer.refused() == (400, "bad-input")


@pytest.mark.parametrize(
    "scenario",
    [
        lambda: test_half_a_head_and_nothing_more_is_answered_in_time_and_closed(b"GET"),
        test_half_a_second_head_is_closed_too,
        test_a_head_in_pieces_is_a_head,
        test_a_head_of_an_endless_stream_costs_bounded_memory,
        test_a_head_as_large_as_is_allowed_and_a_large_body_in_one_piece_are_taken,
        test_trailers_are_held_to_the_same_size,
        lambda: test_a_connection_that_says_nothing_is_closed(0),
        test_the_rest_of_a_body_that_nobody_waits_for_has_a_time,
        test_a_request_that_is_answered_late_is_not_cut_off,
        test_connections_beyond_the_limit_are_refused_and_those_that_stand_go_on,
        test_what_is_no_http_is_a_problem,
    ],
)
def test_on_the_loop_of_the_processes_it_is_the_same(
    scenario: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())

"""How connections of the HTTP server end: refusals that arrive, half-closed callers, a server that stops."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from structlog.testing import capture_logs

from mvm_ci.serving.limits import MAX_HEAD, PIPELINED, Limits
from mvm_ci.serving.server import ApiServer
from mvm_ci.testing.clock import settle
from tests.integration.serving.rig import (
    GET,
    LIMIT,
    PATIENCE_S,
    SHORT,
    Caller,
    Dial,
    Echo,
    connect,
    send_for_ever,
)

HELD = b"GET /held HTTP/1.1\r\n\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
LONG = b"GET /long HTTP/1.1\r\nx: " + b"v" * (MAX_HEAD + 1) + b"\r\n\r\n"


# -------------------------------------------------------------------- what must not be taken for a request


async def test_a_head_over_its_limit_is_not_skipped_for_the_next_request(dial: Dial) -> None:
    caller = await dial()
    caller.send(LONG + GET)
    said = await caller.rest()
    assert said.startswith(b"HTTP/1.1 431 ")
    assert said.count(b"HTTP/1.1 ") == 1


async def test_trailers_over_their_limit_are_not_skipped_for_the_next_request(dial: Dial) -> None:
    caller = await dial()
    caller.send(CHUNKED + b"0\r\na: " + b"v" * MAX_HEAD + b"\r\n\r\n" + GET)
    said = await caller.rest()
    assert said.startswith(b"HTTP/1.1 431 ")
    assert said.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("coding", [b"gzip", b"gzip, chunked", b"identity\r\ntransfer-encoding: chunked"])
async def test_a_coding_that_is_not_known_is_refused(dial: Dial, echo: Echo, coding: bytes) -> None:
    caller = await dial()
    caller.send(b"POST /a HTTP/1.1\r\ntransfer-encoding: %b\r\n\r\n0\r\n\r\n" % coding)
    assert (await caller.rest()).startswith(b"HTTP/1.1 400 ")
    assert echo.ended == []


async def test_a_broken_chunk_is_refused_after_what_came_before_it(dial: Dial, echo: Echo) -> None:
    caller = await dial()
    caller.send(CHUNKED + b"2\r\nabc\r\n")
    assert (await caller.rest()).startswith(b"HTTP/1.1 400 ")
    caller = await dial()
    caller.send(HELD + CHUNKED + b"nonsense\r\n")
    echo.go.set()
    assert (await caller.answer())[2] == b"GET /held "
    assert await caller.closed()


async def test_a_head_over_its_limit_does_not_undo_what_came_before_it(dial: Dial, echo: Echo) -> None:
    caller = await dial()
    caller.send(HELD + LONG)
    await echo.started.wait()
    await settle()
    echo.go.set()
    assert (await caller.answer())[2] == b"GET /held "
    assert await caller.closed()


async def test_headers_that_come_twice_are_joined_and_two_hosts_refused(dial: Dial, echo: Echo) -> None:
    caller = await dial()
    caller.send(b"GET /header HTTP/1.1\r\nx-a: 1\r\nX-A: 2\r\n\r\n")
    assert (await caller.answer())[2] == b"1, 2"
    caller.send(b"GET /a HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n")
    assert (await caller.answer())[0] == 400
    assert echo.ended == ["/header"]


async def test_an_old_caller_is_told_nothing_in_between_and_its_connection_ends(dial: Dial) -> None:
    caller = await dial()
    caller.send(b"GET /a HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
    assert (await caller.answer())[1][b"connection"] == b"close"
    assert await caller.closed()
    caller = await dial()
    caller.send(b"POST /a HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
    await settle()
    caller.send(b"hi")
    assert (await caller.answer())[::2] == (200, b"POST /a hi")


async def test_more_requests_than_may_wait_in_line_are_left_to_another_connection(
    dial: Dial, echo: Echo
) -> None:
    caller = await dial()
    caller.send(HELD + GET * (PIPELINED + 50))
    await echo.started.wait()
    echo.go.set()
    said = await caller.rest()
    assert said.count(b"HTTP/1.1 200 OK") == PIPELINED
    assert said.count(b"connection: close") == 1
    assert len(echo.ended) == PIPELINED


# -------------------------------------------------------------------- callers who do not read


async def test_requests_behind_an_answer_that_is_not_taken_wait(dial: Dial, echo: Echo) -> None:
    caller = await dial(SHORT)
    caller.writer.transport.pause_reading()  # type: ignore[attr-defined]
    caller.send(b"GET /large HTTP/1.1\r\n\r\n" * 20)
    with pytest.raises(ConnectionError):
        await send_for_ever(caller, b"\r\n")
    assert len(echo.ended) == 1


async def test_a_caller_who_takes_some_of_the_last_answer_is_not_waited_for_for_ever(echo: Echo) -> None:
    server = ApiServer(echo, "127.0.0.1", 0, 5.0, SHORT)
    await server.start()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(server.stop)
        caller = await connect(server, stack)
        caller.send(b"GET /large HTTP/1.1\r\nconnection: close\r\n\r\n")
        await caller.answer()
        # It does not close its side, either.
        with pytest.raises(ConnectionError):
            await send_for_ever(caller, b"\r\n")


# -------------------------------------------------------------------- answers that arrive although it ends


async def test_a_refusal_arrives_while_the_caller_still_sends(dial: Dial) -> None:
    caller = await dial()
    caller.send(b"GET / HTTP/1.1\r\nx: " + b"v" * (4 << 20))
    await caller.writer.drain()
    assert (await caller.answer())[0] == 431
    caller.send(b"v" * (4 << 20))
    await caller.writer.drain()
    assert await caller.rest() == b""


async def test_a_body_that_says_it_is_too_long_is_refused_at_once(dial: Dial) -> None:
    caller = await dial()
    caller.send(b"POST /a HTTP/1.1\r\ncontent-length: 99000000\r\n\r\n")
    assert (await caller.answer())[::2] == (413, b"99000000")


async def test_a_body_beyond_what_is_skipped_still_gets_its_refusal(
    dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mvm_ci.serving.exchange.DISCARDED", 1 << 20)
    caller = await dial()
    caller.send(b"POST /a HTTP/1.1\r\ncontent-length: 8000000\r\n\r\n" + b"x" * 8_000_000)
    await caller.writer.drain()
    assert (await caller.answer())[::2] == (413, b"8000000")
    assert await caller.rest() == b""


async def test_a_caller_who_shuts_its_side_gets_its_answers(dial: Dial, echo: Echo) -> None:
    caller = await dial()
    caller.send(HELD + GET)
    caller.writer.write_eof()
    await echo.started.wait()
    await settle()
    echo.go.set()
    assert [(await caller.answer())[2] for _ in range(2)] == [b"GET /held ", b"GET /a "]
    assert await caller.closed()


async def test_a_caller_who_shuts_its_side_gets_nothing_for_half_a_request(dial: Dial, echo: Echo) -> None:
    caller = await dial()
    caller.send(b"POST /a HTTP/1.1\r\ncontent-length: 3\r\n\r\nx")
    caller.writer.write_eof()
    assert await caller.closed()
    await settle()
    assert echo.ended == ["/a"]


async def test_an_endless_answer_ends_when_the_caller_shuts_its_side(dial: Dial, echo: Echo) -> None:
    caller = await dial()
    caller.send(b"GET /quiet HTTP/1.1\r\n\r\n")
    await caller.answer(body=False)
    caller.writer.write_eof()
    async with asyncio.timeout(PATIENCE_S):
        await echo.over.wait()


async def test_a_handler_goes_on_without_a_word_when_its_caller_is_gone(dial: Dial, echo: Echo) -> None:
    with capture_logs() as lines:
        caller = await dial()
        caller.send(b"POST /held HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n")
        await echo.started.wait()
        caller.writer.transport.abort()
        await settle()
        echo.go.set()
        async with asyncio.timeout(PATIENCE_S):
            await echo.over.wait()
        await settle()
    assert (echo.ended, lines) == (["/held"], [])


# -------------------------------------------------------------------- a server that stops


@pytest.fixture
async def several() -> AsyncIterator[contextlib.AsyncExitStack]:
    async with contextlib.AsyncExitStack() as stack:
        yield stack


async def test_no_connection_is_left_when_the_server_has_stopped(
    echo: Echo, several: contextlib.AsyncExitStack
) -> None:
    server = ApiServer(echo, "127.0.0.1", 0, 0.1)
    await server.start()
    callers: list[Caller] = []
    for sent in (
        b"",
        b"GET /a HT",
        b"POST /unread HTTP/1.1\r\ncontent-length: 300\r\n\r\n",
        b"POST /a HTTP/1.1\r\ncontent-length: 3\r\n\r\n",
        b"GET /quiet HTTP/1.1\r\n\r\n",
        b"GET /a HTTP/1.1\r\nconnection: close\r\n\r\n",
        b"GET /large HTTP/1.1\r\n\r\n",
        HELD + GET,
    ):
        caller = await connect(server, several)
        caller.writer.transport.pause_reading()  # type: ignore[attr-defined]
        caller.send(sent)
        callers.append(caller)
    await echo.started.wait()
    await settle()
    async with asyncio.timeout(PATIENCE_S):
        await server.stop()
    assert server.open == 0
    assert server.tasks == set()


def test_a_large_answer_comes_whole_although_the_server_stops() -> None:
    caller = socket.socket()
    caller.settimeout(PATIENCE_S)
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # the kernel must not hold all of it

    async def serve(readers: ThreadPoolExecutor) -> Future[int]:
        echo = Echo()
        server = ApiServer(echo, "127.0.0.1", 0, PATIENCE_S)
        await server.start()
        caller.connect(("127.0.0.1", int(server.url.rpartition(":")[2])))
        caller.sendall(b"GET /large?64 HTTP/1.1\r\n\r\n")
        await echo.over.wait()
        read = readers.submit(_read_all, caller)
        await server.stop()
        return read

    with caller, ThreadPoolExecutor() as readers:
        assert asyncio.run(serve(readers)).result(PATIENCE_S) > 64 << 20


def _read_all(caller: socket.socket) -> int:
    total = 0
    while data := caller.recv(1 << 16):
        total += len(data)
    return total


async def test_a_refused_connection_is_not_counted_for_long(echo: Echo) -> None:
    server = ApiServer(echo, "127.0.0.1", 0, 5.0, Limits(connections=0))
    await server.start()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(server.stop)
        caller = await connect(server, stack)
        assert (await caller.answer())[0] == 503
        assert await caller.closed()
        caller.writer.close()
        async with asyncio.timeout(PATIENCE_S):
            while server.open:
                await settle()


async def test_small_chunks_are_one_body(dial: Dial) -> None:
    caller = await dial()
    caller.send(CHUNKED + b"2\r\nab\r\n" * (LIMIT // 2) + b"0\r\n\r\n")
    assert (await caller.answer())[2] == b"POST /a " + b"ab" * (LIMIT // 2)

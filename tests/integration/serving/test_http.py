"""The HTTP server, byte by byte over real sockets, under an application of the test's own."""

import asyncio
import contextlib
import re

import pytest
from structlog.testing import capture_logs

from mvm_ci.serving.limits import MAX_HEAD, Limits
from mvm_ci.serving.server import ApiServer
from mvm_ci.testing.clock import settle
from tests.integration.serving.rig import (
    GET,
    LIMIT,
    PATIENCE_S,
    SHORT,
    Dial,
    Echo,
    connect,
    send_for_ever,
)

# -------------------------------------------------------------------- requests, however they come


async def test_requests_that_come_together_are_answered_in_order(dial: Dial, echo: Echo) -> None:
    caller = await dial()
    held = b"POST /held HTTP/1.1\r\ncontent-length: 2\r\n\r\nhi"
    caller.send(held + GET + b"POST /b HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc" + GET)
    await echo.started.wait()
    assert echo.ended == []
    echo.go.set()
    bodies = [(await caller.answer())[2] for _ in range(4)]
    assert bodies == [b"POST /held hi", b"GET /a ", b"POST /b abc", b"GET /a "]


async def test_a_request_may_come_in_single_bytes(dial: Dial) -> None:
    caller = await dial()
    for byte in b"POST /a%20b?q HTTP/1.1\r\nX-A: 1\r\ncontent-length: 3\r\n\r\nabc":
        caller.send(bytes([byte]))
        await caller.writer.drain()
        await asyncio.sleep(0)
    assert (await caller.answer())[2] == b"POST /a b abc"


async def test_a_body_may_come_in_chunks(dial: Dial) -> None:
    caller = await dial()
    chunks = b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    caller.send(b"POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + chunks + GET)
    assert (await caller.answer())[2] == b"POST /a abc"
    assert (await caller.answer())[2] == b"GET /a "


async def test_a_caller_who_waits_for_a_go_ahead_gets_it(dial: Dial) -> None:
    caller = await dial()
    head = b"POST /a HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n"
    caller.send(head % 2)
    assert (await caller.answer())[0] == 100
    caller.send(b"hi")
    assert (await caller.answer())[2] == b"POST /a hi"
    caller.send(head % (LIMIT + 1))
    status, headers, _ = await caller.answer()
    assert (status, headers[b"connection"]) == (413, b"close")
    assert await caller.closed()


async def test_head_is_answered_without_a_body(dial: Dial) -> None:
    caller = await dial()
    caller.send(b"HEAD /a HTTP/1.1\r\n\r\n" + GET)
    assert (await caller.answer(body=False))[1][b"content-length"] == b"8"
    assert (await caller.answer())[2] == b"GET /a "


async def test_the_connection_is_closed_when_the_caller_asks(dial: Dial) -> None:
    for ask in (b"GET /a HTTP/1.1\r\nconnection: close\r\n\r\n", b"GET /a HTTP/1.0\r\n\r\n"):
        caller = await dial()
        caller.send(ask)
        assert (await caller.answer())[1][b"connection"] == b"close"
        assert await caller.closed()


async def test_another_protocol_that_is_offered_is_not_taken(dial: Dial) -> None:
    caller = await dial()
    caller.send(b"GET /a HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\n")
    assert (await caller.answer())[0] == 200
    assert await caller.closed()


# -------------------------------------------------------------------- answers in pieces


async def test_pieces_are_sent_as_chunks(dial: Dial, echo: Echo) -> None:
    echo.pieces = [b"ab", b"", b"c"]
    caller = await dial()
    caller.send(b"GET /pieces HTTP/1.1\r\nconnection: close\r\n\r\n")
    head, _, body = (await caller.rest()).partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    assert body == b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"


async def test_an_old_caller_gets_pieces_as_they_are(dial: Dial, echo: Echo) -> None:
    echo.pieces = [b"ab", b"c"]
    caller = await dial()
    caller.send(b"GET /pieces HTTP/1.0\r\n\r\n")
    head, _, body = (await caller.rest()).partition(b"\r\n\r\n")
    assert (b"chunked" in head, body) == (False, b"abc")


async def test_nothing_more_is_made_for_a_caller_who_does_not_read_or_is_gone(dial: Dial, echo: Echo) -> None:
    caller = await dial()
    caller.send(b"GET /endless HTTP/1.1\r\n\r\n")
    await echo.started.wait()
    await settle()
    assert echo.ended == []
    caller.writer.transport.abort()
    async with asyncio.timeout(PATIENCE_S):
        await echo.over.wait()


async def test_a_caller_who_never_reads_is_cut_off(dial: Dial, echo: Echo) -> None:
    caller = await dial(SHORT)
    caller.writer.transport.pause_reading()  # type: ignore[attr-defined]
    caller.send(b"GET /endless HTTP/1.1\r\n\r\n")
    async with asyncio.timeout(PATIENCE_S):
        await echo.over.wait()


async def test_a_large_answer_comes_whole(dial: Dial) -> None:
    caller = await dial()
    caller.send(b"GET /large HTTP/1.1\r\n\r\n" + GET)
    assert len((await caller.answer())[2]) == 8 << 20
    assert (await caller.answer())[2] == b"GET /a "


# -------------------------------------------------------------------- limits


async def test_a_body_over_its_limit_is_refused_and_read_to_its_end(dial: Dial) -> None:
    caller = await dial()
    caller.send(b"POST /a HTTP/1.1\r\ncontent-length: 2000000\r\n\r\n" + b"x" * 2_000_000 + GET)
    assert (await caller.answer())[::2] == (413, b"2000000")
    assert (await caller.answer())[2] == b"GET /a "
    chunk = b"%x\r\n" % 300_000 + b"x" * 300_000 + b"\r\n"
    caller.send(b"POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + chunk * 3 + b"0\r\n\r\n" + GET)
    assert (await caller.answer())[::2] == (413, b"None")
    assert (await caller.answer())[2] == b"GET /a "


async def test_a_body_that_nobody_asked_for_is_skipped(dial: Dial) -> None:
    caller = await dial()
    caller.send(b"POST /unread HTTP/1.1\r\ncontent-length: 300000\r\n\r\n")
    assert (await caller.answer())[0] == 403
    caller.send(b"x" * 300_000 + GET)
    assert (await caller.answer())[2] == b"GET /a "


async def test_a_body_without_end_is_cut_off(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mvm_ci.serving.exchange.DISCARDED", 1 << 20)
    caller = await dial(Limits(linger_s=0.2))
    caller.send(b"POST /unread HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
    assert (await caller.answer())[0] == 403
    chunk = b"%x\r\n" % (1 << 18) + b"x" * (1 << 18) + b"\r\n"
    with pytest.raises(ConnectionError):
        await send_for_ever(caller, chunk)


async def test_a_late_body_is_not_waited_for(dial: Dial) -> None:
    caller = await dial(SHORT)
    caller.send(b"POST /a HTTP/1.1\r\ncontent-length: 2\r\n\r\nx")
    assert (await caller.answer())[0] == 408
    assert await caller.closed()


@pytest.mark.parametrize("begun", [b"", b"GET /a HTT", b"GET /a HTTP/1.1\r\nx-a: 1\r\nx-b"])
async def test_a_head_that_does_not_end_is_not_waited_for(dial: Dial, begun: bytes) -> None:
    caller = await dial(SHORT)
    caller.send(begun)
    said = await caller.rest()
    assert said == b"" if not begun else b"408 Request Timeout" in said


async def test_a_second_head_has_no_more_time_than_the_first(dial: Dial) -> None:
    caller = await dial(SHORT)
    caller.send(GET + GET[:9])
    assert (await caller.answer())[2] == b"GET /a "
    assert (await caller.answer())[0] == 408
    assert await caller.closed()


async def test_trailers_are_no_headers_and_are_held_to_the_same_size(dial: Dial) -> None:
    caller = await dial(Limits(linger_s=0.2))
    chunked = b"POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"
    caller.send(chunked + b"expect: 100-continue\r\n\r\n" + GET)
    assert (await caller.answer())[2] == b"POST /a ab"
    assert (await caller.answer())[2] == b"GET /a "
    caller.send(chunked + b"a: ")
    with pytest.raises(ConnectionError):
        await send_for_ever(caller, b"b" * (1 << 16))


async def test_an_idle_connection_is_closed(dial: Dial) -> None:
    caller = await dial(SHORT)
    caller.send(GET)
    assert (await caller.answer())[0] == 200
    assert await caller.closed()


async def test_a_caller_who_waits_for_an_answer_is_not_idle(dial: Dial, echo: Echo) -> None:
    caller = await dial(SHORT)
    caller.send(b"GET /held HTTP/1.1\r\n\r\n")
    await echo.started.wait()
    await asyncio.sleep(2.5)  # two looks of the server: nothing happens, which only time can show
    echo.go.set()
    assert (await caller.answer())[2] == b"GET /held "


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * MAX_HEAD + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"x-%d: %b\r\n" % (n, b"v" * 1_000) for n in range(40)) + b"\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"v" * (1 << 20),
    ],
)
async def test_a_head_over_its_limit_is_refused(dial: Dial, head: bytes) -> None:
    caller = await dial()
    caller.send(head)
    with contextlib.suppress(ConnectionError):
        assert b"431 Request Header Fields Too Large" in await caller.rest()


async def test_a_long_body_before_a_head_is_not_counted_as_one(dial: Dial) -> None:
    caller = await dial()
    caller.send(b"POST /unread HTTP/1.1\r\ncontent-length: 60000\r\n\r\n" + b"x" * 60_000 + GET[:10])
    assert (await caller.answer())[0] == 403
    caller.send(GET[10:])
    assert (await caller.answer())[2] == b"GET /a "


async def test_connections_beyond_the_limit_are_told_to_come_back(echo: Echo) -> None:
    server = ApiServer(echo, "127.0.0.1", 0, 5.0, Limits(connections=1))
    await server.start()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(server.stop)
        first = await connect(server, stack)
        first.send(GET)
        assert (await first.answer())[0] == 200
        second = await connect(server, stack)
        assert re.match(rb"HTTP/1.1 503 .*retry-after: 1\r\n.*unavailable", await second.rest(), re.DOTALL)
        first.send(GET)
        assert (await first.answer())[0] == 200


# -------------------------------------------------------------------- what is no request


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01\x02\x00",
        b"GET\r\n\r\n",
        b"GET /\xff HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused_and_ends_the_connection(dial: Dial, nonsense: bytes) -> None:
    caller = await dial()
    caller.send(nonsense)
    assert (await caller.rest()).startswith(
        b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json"
    )


async def test_what_came_before_nonsense_is_answered(dial: Dial, echo: Echo) -> None:
    caller = await dial()
    caller.send(b"GET /held HTTP/1.1\r\n\r\nnonsense\r\n\r\n")
    await echo.started.wait()
    echo.go.set()
    assert (await caller.answer())[2] == b"GET /held "
    assert await caller.closed()


async def test_an_application_that_fails_breaks_the_answer_off(dial: Dial) -> None:
    caller = await dial()
    with capture_logs() as lines:
        caller.send(b"GET /fails HTTP/1.1\r\n\r\n")
        assert await caller.closed()
    assert [line["event"] for line in lines] == ["request_broken_off"]


# -------------------------------------------------------------------- the end


async def test_what_is_under_way_is_answered_before_the_server_stops(echo: Echo) -> None:
    server = ApiServer(echo, "127.0.0.1", 0, PATIENCE_S)
    await server.start()
    async with contextlib.AsyncExitStack() as stack:
        idle, busy = await connect(server, stack), await connect(server, stack)
        idle.send(GET)
        await idle.answer()
        echo.started.clear()
        busy.send(b"GET /held HTTP/1.1\r\n\r\n")
        await echo.started.wait()
        stopping = asyncio.create_task(server.stop())
        assert await idle.closed()
        echo.go.set()
        status, headers, _ = await busy.answer()
        assert (status, headers[b"connection"]) == (200, b"close")
        await stopping


async def test_what_is_too_long_under_way_is_cut_off(echo: Echo) -> None:
    server = ApiServer(echo, "127.0.0.1", 0, 0.1)
    await server.start()
    async with contextlib.AsyncExitStack() as stack:
        busy = await connect(server, stack)
        busy.send(b"GET /held HTTP/1.1\r\n\r\n")
        await echo.started.wait()
        await server.stop()
        assert await busy.closed()
        assert echo.ended == ["/held"]

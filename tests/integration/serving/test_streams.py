"""Bodies that are taken as they come, and answers in pieces of a known length."""

import asyncio

from mvm_ci.serving.limits import WINDOW
from tests.integration.serving.rig import GET, PATIENCE_S, SHORT, Dial, Echo


def put(size: int, *headers: bytes, path: bytes = b"/taken?100000000", version: bytes = b"1.1") -> bytes:
    lines = [b"PUT %b HTTP/%b" % (path, version), b"host: x", b"content-length: %d" % size, *headers]
    return b"\r\n".join([*lines, b"", b""])


async def held(echo: Echo, count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while len(echo.pieces) < count:
            echo.more.clear()
            await echo.more.wait()


async def test_a_body_is_taken_piece_by_piece(dial: Dial, echo: Echo) -> None:
    echo.go.set()
    caller = await dial()
    caller.send(put(8))
    for number, part in enumerate((b"one", b"two", b"34"), 1):
        caller.send(part)
        await held(echo, number)
    assert (await caller.answer())[::2] == (200, b"8")
    assert echo.pieces == [b"one", b"two", b"34"]
    caller.send(GET)
    assert (await caller.answer())[0] == 200


async def test_an_empty_body(dial: Dial, echo: Echo) -> None:
    caller = await dial()
    caller.send(put(0))
    assert (await caller.answer())[::2] == (200, b"0")


async def test_no_more_than_a_window_is_in_memory(dial: Dial, echo: Echo) -> None:
    """Who is not taken from cannot send: what the kernel buffers is all that leaves the caller."""
    caller = await dial()
    size = 64 << 20
    caller.send(put(size))

    async def send() -> None:
        for _ in range(size >> 20):
            caller.send(bytes(1 << 20))
            await caller.writer.drain()

    sending = asyncio.create_task(send())
    await asyncio.wait({sending}, timeout=0.5)
    assert not sending.done()
    echo.go.set()
    await sending
    assert (await caller.answer())[::2] == (200, b"%d" % size)
    # One read of the socket may come on top of a window.
    assert max(map(len, echo.pieces)) < 2 * WINDOW


async def test_a_body_in_chunks_is_limited_as_it_comes(dial: Dial, echo: Echo) -> None:
    echo.go.set()
    caller = await dial()
    caller.send(b"PUT /taken?10 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n")
    await held(echo, 1)
    caller.send(b"6\r\n678901\r\n0\r\n\r\n")
    assert (await caller.answer())[::2] == (413, b"None")


async def test_a_body_that_says_it_is_too_long_is_not_begun(dial: Dial, echo: Echo) -> None:
    caller = await dial()
    caller.send(put(11, b"expect: 100-continue", path=b"/taken?10"))
    assert (await caller.answer())[::2] == (413, b"11")
    assert echo.pieces == []


async def test_a_caller_who_waits_is_told_to_go_ahead(dial: Dial, echo: Echo) -> None:
    echo.go.set()
    caller = await dial()
    caller.send(put(3, b"expect: 100-continue"))
    assert (await caller.answer(body=False))[0] == 100
    caller.send(b"abc")
    assert (await caller.answer())[::2] == (200, b"3")


async def test_a_body_that_stops_coming_is_late(dial: Dial, echo: Echo) -> None:
    echo.go.set()
    caller = await dial(SHORT)
    caller.send(put(4) + b"ab")
    assert (await caller.answer())[::2] == (408, b"late")
    assert echo.pieces == [b"ab"]


async def test_a_caller_who_leaves_in_the_middle_ends_it(dial: Dial, echo: Echo) -> None:
    echo.go.set()
    caller = await dial()
    caller.send(put(4) + b"ab")
    await held(echo, 1)
    caller.writer.close()
    async with asyncio.timeout(PATIENCE_S):
        await echo.over.wait()


async def test_an_answer_of_a_known_length_is_not_cut_into_chunks(dial: Dial, echo: Echo) -> None:
    echo.pieces = [b"one", b"", b"two"]
    for version in (b"1.1", b"1.0"):
        caller = await dial()
        caller.send(b"GET /known HTTP/%b\r\nhost: x\r\n\r\n" % version)
        status, headers, body = await caller.answer()
        assert (status, body, headers[b"x-a"]) == (206, b"onetwo", b"b")
        assert b"transfer-encoding" not in headers
    caller = await dial()
    caller.send(GET.replace(b"/a", b"/known") * 2)
    assert [(await caller.answer())[2] for _ in range(2)] == [b"onetwo"] * 2

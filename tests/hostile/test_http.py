"""Servers that a guest asks, and that answer as no honest one does."""

import asyncio
import gzip
import json
import socket
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest

from guest.build_c import build_c
from mvm_ci.adapters.http.client import MAX_REDIRECTS
from mvm_ci.adapters.http.exchange import MAX_BODY, MAX_PIECES
from mvm_ci.adapters.http.resolver import SystemResolver
from mvm_ci.domain.outcome import Completed
from tests.hostile.rig import GUESTS, Rig, result
from tests.integration.servers import Reply, ok, redirect, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHUNKED: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
Drip = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def ask(rig: Rig, url: str, *, timeout_ms: int = 60_000, method: str = "GET") -> None:
    """A guest beside others asks, and is answered with the error that the test's mark says."""
    document = json.dumps({"url": url, "method": method, "timeout_ms": timeout_ms})
    await rig.run_python("ask", [document, 1, ""], answers=True)


async def ask_server(rig: Rig, reply: Reply, *, timeout_ms: int = 60_000) -> None:
    """The same of a server that replies so; it is asked once."""
    async with serving(lambda _: reply) as server:
        await ask(rig, f"http://site.test:{server.port}/", timeout_ms=timeout_ms)
    assert len(server.seen) == 1


def endless(piece: bytes, begin: bytes = b"", *, every_s: float = 0) -> Drip:
    """``begin``, then ``piece`` again and again."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(every_s)

    return drip


# ---------------------------------------------------------------- bombs


@pytest.mark.ends("completed")
async def test_an_answer_is_a_decompression_bomb(rig: Rig) -> None:
    # Many zeros. Nothing is unpacked: the guest has what was sent.
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(256)) + packer.flush()
    for encoding in (b"gzip", b"deflate", b"gzip, gzip"):
        head = b"Content-Encoding: %s\r\n" % encoding
        async with serving(lambda _, head=head: ok(bomb, head)) as server:  # type: ignore[misc]
            outcome = await rig.run_python("fetch", f"http://site.test:{server.port}/")
        assert json.loads(result(outcome)) == len(bomb) < 1 << 20
        assert b"accept-encoding: identity" in server.seen[0].lower()


@pytest.mark.ends("protocol")
async def test_a_server_packs_the_whole_answer(rig: Rig) -> None:
    packed = gzip.compress(b"hello")
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    await ask_server(rig, head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed))


@pytest.mark.ends("protocol")
async def test_redirects_go_on_for_ever(rig: Rig) -> None:
    async with serving(lambda _: redirect("/")) as server:
        await ask(rig, f"http://site.test:{server.port}/")
    assert len(server.seen) == MAX_REDIRECTS + 1
    # Each with a body as large as an answer may be.
    heavy = b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: %d\r\n\r\n" % MAX_BODY
    async with serving(lambda _: heavy + bytes(MAX_BODY)) as server:
        await ask(rig, f"http://site.test:{server.port}/")
    assert len(server.seen) == MAX_REDIRECTS + 1


@pytest.mark.ends("protocol", "refused")
async def test_a_redirect_leads_to_no_place(rig: Rig) -> None:
    for place in ("http://" + "a" * 60_000, "http://[", "http://a b/", "http://a:99999/"):
        await ask_server(rig, redirect(place))
    for place in ("file:///etc/passwd", "gopher://site.test/", "http://user:secret@site.test/"):
        await ask_server(rig, redirect(place))


# ---------------------------------------------------------------- without end


@pytest.mark.ends("too-large")
async def test_an_answer_never_ends(rig: Rig) -> None:
    piece = bytes(1 << 16)
    for begin, one in (
        (b"HTTP/1.1 200 OK\r\n\r\n", piece),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", piece),
        (CHUNKED, b"10000\r\n%s\r\n" % piece),
    ):
        await ask_server(rig, endless(one, begin))


@pytest.mark.ends("protocol")
async def test_headers_or_trailers_never_end(rig: Rig) -> None:
    for begin, one in (
        (b"", b"x" * 1_000),
        (b"HTTP/1.1 ", b"2" * 1_000),
        (b"HTTP/1.1 200 ", b"O" * 1_000),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y" * 1_000),
        (b"HTTP/1.1 200 OK\r\nX: y\r\n", b" folded\r\n" * 100),
        (CHUNKED + b"5\r\nhello\r\n0\r\n", b"X: y\r\n" * 100),
        (CHUNKED + b"5", b";extension" * 100),
        (CHUNKED, b"0" * 1_000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"),
    ):
        await ask_server(rig, endless(one, begin))


@pytest.mark.ends("timeout")
async def test_a_server_answers_a_byte_at_a_time(rig: Rig) -> None:
    for begin, one in (
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\n", b"X"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x"),
        (CHUNKED, b"1\r\nx\r\n"),
    ):
        await ask_server(rig, endless(one, begin, every_s=0.05), timeout_ms=400)


@pytest.mark.ends("timeout")
async def test_a_server_says_nothing(rig: Rig) -> None:
    async def silent(_: asyncio.StreamWriter) -> None:
        await server.release.wait()

    async with serving(lambda _: silent) as server:
        await ask(rig, f"http://site.test:{server.port}/", timeout_ms=200)
        # Nor does it answer when it is to show who it is.
        await ask(rig, f"https://site.test:{server.port}/", timeout_ms=200)


@pytest.mark.ends("protocol")
async def test_an_answer_comes_in_hundreds_of_thousands_of_pieces(rig: Rig) -> None:
    await ask_server(rig, CHUNKED + b"1\r\nx\r\n" * (MAX_PIECES + 1) + b"0\r\n\r\n")


# ---------------------------------------------------------------- lies and garbage


@pytest.mark.ends("protocol")
async def test_a_server_does_not_speak_http(rig: Rig) -> None:
    for reply in (
        b"",
        b"<html>an answer of HTTP/0.9</html>",
        b"garbage\r\n\r\n",
        bytes(range(256)) * 10,
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 200 OK\r\n X: y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        b"HTTP/1.1 99 OK\r\n\r\n",
        b"HTTP/1.1 1000 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ):
        await ask_server(rig, reply)


@pytest.mark.ends("protocol")
async def test_the_length_of_an_answer_is_a_lie(rig: Rig) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\nhello"
    for length in (b"6", b"8388608", b"-1", b"0x5", b"5.0", b"5\r\nContent-Length: 6", b"9" * 5_000):
        await ask_server(rig, head % length)
    for chunk in (b"zz", b"-5\r\nhello", b"6\r\nhello\r\n0\r\n", b"f" * 21, b"5\r\nhel"):
        await ask_server(rig, CHUNKED + chunk + b"\r\n")


@pytest.mark.ends("completed")
async def test_a_server_sends_more_than_it_says(rig: Rig) -> None:
    async with serving(lambda _: endless(bytes(1 << 16), ok(b"hello"))) as server:
        outcome = await rig.run_python("fetch", f"http://site.test:{server.port}/")
    assert json.loads(result(outcome)) == 5


@pytest.mark.ends("protocol")
async def test_a_server_breaks_the_connection(rig: Rig) -> None:
    async def breaks(writer: asyncio.StreamWriter) -> None:
        writer.write(ok(b"hello")[:-2])
        await writer.drain()
        # No polite end: a reset.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    await ask_server(rig, breaks)


@pytest.mark.ends("connect")
async def test_a_server_is_not_who_it_says(rig: Rig) -> None:
    async def garbles(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"this is no handshake\r\n")
        writer.close()

    async with await asyncio.start_server(garbles, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        await ask(rig, f"https://site.test:{port}/")
    await ask(rig, f"http://site.test:{port}/")


# ---------------------------------------------------------------- names and addresses


@pytest.mark.ends("refused")
async def test_a_redirect_leads_inside(rig: Rig) -> None:
    rig.names["inside.test"] = [["10.0.0.1"]]
    rig.names["half.test"] = [["127.0.0.1", "192.168.0.1"]]
    addresses = ("10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]", "0.0.0.0")
    for place in (*addresses, "inside.test", "half.test"):
        await ask_server(rig, redirect(f"http://{place}/latest/meta-data"))


@pytest.mark.ends("completed")
async def test_a_name_changes_between_check_and_use(rig: Rig) -> None:
    async with serving(lambda _: ok(b"outside")) as server:
        rig.names["rebind.test"] = [["127.0.0.1"], ["10.0.0.1"]]
        outcome = await rig.run_python("fetch", f"http://rebind.test:{server.port}/")
    # The address that was checked is the one that was connected to: the second answer was never asked for.
    assert json.loads(result(outcome)) == 7
    assert rig.names["rebind.test"] == [["10.0.0.1"]]


@pytest.mark.ends("refused")
async def test_a_name_changes_from_one_redirect_to_the_next(rig: Rig) -> None:
    async with serving(lambda _: redirect("/again")) as server:
        rig.names["rebind.test"] = [["127.0.0.1"], ["127.0.0.1"], ["10.0.0.1"]]
        await ask(rig, f"http://rebind.test:{server.port}/")
    assert len(server.seen) == 2


@pytest.mark.ends("dns")
async def test_a_name_is_none(rig: Rig) -> None:
    rig.names["empty.test"] = [[]]
    for name in ("nowhere.test", "empty.test"):
        await ask(rig, f"http://{name}/")


@pytest.mark.ends("timeout")
async def test_names_whose_servers_do_not_answer_keep_no_other_name_waiting(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The system's resolver cannot be interrupted: the threads that wait for it are stuck.
    import threading

    stuck, answers = threading.Event(), socket.getaddrinfo

    def slow(host: str, *rest: object, **named: object) -> object:
        if host == "slow.test":
            stuck.wait(60)
            raise socket.gaierror("no answer")
        return answers("127.0.0.1", *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    resolver = SystemResolver()
    monkeypatch.setattr(rig.http, "_resolve", resolver)
    lost = [asyncio.ensure_future(resolver("slow.test", 80)) for _ in range(100)]
    try:
        await ask(rig, "http://slow.test/", timeout_ms=200)
        assert await resolver("quick.test", 80) == ["127.0.0.1"]
    finally:
        stuck.set()
        assert all(isinstance(one, OSError) for one in await asyncio.gather(*lost, return_exceptions=True))


# ---------------------------------------------------------------- much at once

SERVER: Final = """
import asyncio, sys

async def main():
    size, many = int(sys.argv[1]), int(sys.argv[2])
    everybody, waiting = asyncio.Event(), 0

    async def serve(reader, writer):
        nonlocal waiting
        await reader.readuntil(b"\\r\\n\\r\\n")
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % size)
        for _ in range(0, size - 1, 1 << 16):
            writer.write(bytes(min(1 << 16, size - 1)))
            await writer.drain()
        waiting += 1
        if waiting == many:
            everybody.set()
        await everybody.wait()
        writer.write(b"!")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""
"""All but the last byte of each answer; that one when so many have come so far."""
MANY: Final = 64


@pytest.fixture
async def far_server() -> AsyncIterator[int]:
    """Its port. In a process of its own: what it holds does not count."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVER, str(MAX_BODY), str(MANY)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline())
    finally:
        process.kill()
        await process.wait()


def forget_peak() -> None:
    """What this process has now is the most that it had."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_mb() -> int:
    """The most memory that this process had since then."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) >> 10


@pytest.mark.ends("completed")
async def test_dozens_of_answers_of_8_mb_at_once(rig: Rig, far_server: int) -> None:
    fetch = rig.payloads.add(build_c(GUESTS / "fetch.c").read_bytes())
    document = json.dumps({"url": f"http://site.test:{far_server}/", "timeout_ms": 300_000}).encode()
    forget_peak()
    before = peak_mb()
    # The neighbours have ended: there is no room for them, so many guests wait in the one runner.
    placed = [rig.place(fetch, document, memory_bytes=16 << 20) for _ in range(MANY)]
    outcomes = [await rig.ended(one) for one in placed]
    # Half a gigabyte and more, were they in memory at once.
    assert peak_mb() - before < 256
    assert {type(outcome) for outcome in outcomes} == {Completed}
    assert len({result(outcome) for outcome in outcomes}) == 1
    await rig.run(fetch, json.dumps({"url": rig.site.url("/open")}).encode())

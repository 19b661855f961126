"""The guests' HTTP client against real servers on the loopback interface."""

import asyncio
import gc
import gzip
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from mvm_ci.adapters.http.client import GuestHttpClient
from mvm_ci.adapters.http.exchange import MAX_BODY
from mvm_ci.adapters.http.spool import MAX_IN_MEMORY
from mvm_ci.domain.http import HttpFailure, HttpRequest
from mvm_ci.domain.network import NetworkPolicy
from mvm_ci.ports.http_client import FetchedResponse
from tests.integration.servers import ok, redirect, serving

ANY = ("*:*",)
OPEN = NetworkPolicy(allow_hosts=ANY, allow_networks=("127.0.0.0/8",))


def request(
    url: str,
    method: str = "GET",
    *,
    headers: tuple[tuple[str, str], ...] = (),
    body: bytes = b"",
    timeout_ms: int = 30_000,
) -> HttpRequest:
    return HttpRequest(method, url, headers, body, timeout_ms, method == "GET")


def resolving(*answers: Sequence[str]) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """A resolver that gives these answers one after another, then the last one for ever."""
    left = list(answers)

    async def resolve(host: str, port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


async def fetch(
    asked: HttpRequest,
    *,
    policy: NetworkPolicy = OPEN,
    hosts: tuple[str, ...] = ANY,
    resolve: Callable[[str, int], Awaitable[Sequence[str]]] | None = None,
) -> FetchedResponse | HttpFailure:
    client = GuestHttpClient(policy, resolve=resolve or resolving(["127.0.0.1"]))
    try:
        return await client.fetch(asked, allow_hosts=hosts, idempotency_key="key-1")
    finally:
        await client.close()


def answered(result: FetchedResponse | HttpFailure) -> FetchedResponse:
    assert isinstance(result, FetchedResponse), result
    return result


def kind(result: FetchedResponse | HttpFailure) -> str:
    assert isinstance(result, HttpFailure), result
    assert "\n" not in result.message
    return result.kind


async def test_a_request_and_its_answer() -> None:
    async with serving(lambda _: ok(extra=b"X-Thing: 1\r\nConnection: close\r\n")) as server:
        result = answered(await fetch(request(f"http://service.test:{server.port}/a?b=c#d")))
    assert (result.status, result.body) == (200, b"hello")
    assert result.url == f"http://service.test:{server.port}/a?b=c"
    assert ("x-thing", "1") in result.headers
    assert "connection" not in dict(result.headers)
    sent = server.seen[0].decode()
    assert sent.startswith("GET /a?b=c HTTP/1.1\r\n")
    assert f"host: service.test:{server.port}\r\n" in sent.lower()
    assert "idempotency-key: key-1\r\n" in sent.lower()
    assert "user-agent: mvm-ci/" in sent.lower()
    assert "accept-encoding: identity\r\n" in sent.lower()


async def test_a_body_and_own_headers_are_sent() -> None:
    headers = (("Idempotency-Key", "mine"), ("Content-Type", "text/plain"), ("Connection", "keep-alive"))
    async with serving(lambda _: ok()) as server:
        url = f"http://service.test:{server.port}/"
        answered(await fetch(request(url, "POST", headers=(*headers, ("Host", "other")), body=b"data")))
    sent = server.seen[0].lower()
    assert sent.endswith(b"\r\n\r\ndata")
    assert b"idempotency-key: mine\r\n" in sent
    assert b"key-1" not in sent
    assert b"keep-alive" not in sent
    assert b"host: other" not in sent


async def test_chunks_are_joined() -> None:
    body = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    async with serving(lambda _: body) as server:
        assert answered(await fetch(request(f"http://a.test:{server.port}/"))).body == b"abcde"


async def test_a_compressed_answer_is_not_unpacked() -> None:
    packed = gzip.compress(b"0" * 100_000)
    async with serving(lambda _: ok(packed, b"Content-Encoding: gzip\r\n")) as server:
        assert answered(await fetch(request(f"http://a.test:{server.port}/"))).body == packed


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ftp://a.test/", "refused"),
        ("file:///etc/passwd", "protocol"),
        ("http://user:secret@a.test/", "refused"),
        ("http://a.test/\r\nX: y", "protocol"),
        ("http://a.test/ b", "protocol"),
        ("http://a.test:0/", "protocol"),
        ("http://a.test:99999/", "protocol"),
        ("http://[::1/", "protocol"),
        ("http://", "protocol"),
        ("nothing", "protocol"),
        ("http://ä.test/", "protocol"),
        ("http://a.test/" + "x" * 20_000, "protocol"),
    ],
)
async def test_bad_urls(url: str, expected: str) -> None:
    assert kind(await fetch(request(url))) == expected


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "GE T", "", "GET\r\n"])
async def test_bad_methods(method: str) -> None:
    assert kind(await fetch(request("http://a.test/", method))) == "refused"


@pytest.mark.parametrize("header", [("X", "a\r\nY: b"), ("X\r\n", "a"), ("X:", "a"), ("", "a"), ("X", "a\0")])
async def test_bad_headers(header: tuple[str, str]) -> None:
    assert kind(await fetch(request("http://a.test/", headers=(header,)))) == "protocol"


async def test_too_much_to_send() -> None:
    assert kind(await fetch(request("http://a.test/", "POST", body=b"x" * (MAX_BODY + 1)))) == "too-large"
    many = tuple((f"x-{number}", "y") for number in range(1000))
    assert kind(await fetch(request("http://a.test/", headers=many))) == "too-large"


async def test_job_and_operator_must_both_allow_the_host() -> None:
    only = NetworkPolicy(allow_hosts=("good.test:*",), allow_networks=("127.0.0.0/8",))
    async with serving(lambda _: ok()) as server:
        good, other = (f"http://{name}.test:{server.port}/" for name in ("good", "other"))
        assert kind(await fetch(request(other), policy=only)) == "refused"
        assert kind(await fetch(request(good), policy=only, hosts=("other.test:*",))) == "refused"
        assert kind(await fetch(request(good), policy=only, hosts=())) == "refused"
        assert kind(await fetch(request(good), policy=only, hosts=("no pattern",))) == "refused"
        assert server.seen == []
        answered(await fetch(request(good), policy=only, hosts=("good.test:*",)))


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["8.8.8.8", "127.0.0.1"],
    ],
)
async def test_private_addresses_are_refused(addresses: list[str]) -> None:
    closed = NetworkPolicy(allow_hosts=ANY)
    assert (
        kind(await fetch(request("http://a.test/"), policy=closed, resolve=resolving(addresses))) == "refused"
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:7f00:1]", "0.0.0.0"])
async def test_private_addresses_in_the_url_are_refused(host: str) -> None:
    assert kind(await fetch(request(f"http://{host}/"), policy=NetworkPolicy(allow_hosts=ANY))) == "refused"


async def test_other_notations_of_an_address_are_refused_by_where_they_lead() -> None:
    client = GuestHttpClient(NetworkPolicy(allow_hosts=ANY))
    for host in ("127.1", "2130706433", "0x7f000001", "localhost"):
        result = await client.fetch(request(f"http://{host}/"), allow_hosts=ANY, idempotency_key="k")
        assert kind(result) in ("refused", "dns")


async def test_the_checked_address_is_the_one_connected_to() -> None:
    # A name that changes between check and use: the second answer is never asked for.
    asked = 0

    async def resolve(host: str, port: int) -> Sequence[str]:
        nonlocal asked
        asked += 1
        return ["127.0.0.1"] if asked == 1 else ["10.0.0.1"]

    async with serving(lambda _: ok()) as server:
        answered(await fetch(request(f"http://a.test:{server.port}/"), resolve=resolve))
    assert asked == 1


async def test_a_name_that_does_not_resolve() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    assert kind(await fetch(request("http://a.test/"), resolve=resolve)) == "dns"
    assert kind(await fetch(request("http://a.test/"), resolve=resolving([]))) == "dns"


async def test_the_next_address_is_tried_if_one_does_not_answer() -> None:
    async with serving(lambda _: ok()) as server:
        url = f"http://a.test:{server.port}/"
        answered(await fetch(request(url), resolve=resolving(["127.0.0.2", "127.0.0.1"])))


async def test_nobody_listens() -> None:
    async with serving(lambda _: ok()) as server:
        port = server.port
    assert kind(await fetch(request(f"http://a.test:{port}/"))) == "connect"


async def test_plain_text_where_tls_belongs() -> None:
    async def garble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"this is no handshake\r\n")
        writer.close()

    async with await asyncio.start_server(garble, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        assert kind(await fetch(request(f"https://a.test:{port}/"))) == "connect"


async def test_a_redirect_is_followed_and_checked_again() -> None:
    def reply(seen: bytes) -> bytes:
        return redirect("/next") if seen.startswith(b"GET /first") else ok()

    async with serving(reply) as server:
        result = answered(await fetch(request(f"http://a.test:{server.port}/first")))
    assert result.url.endswith("/next")
    assert len(server.seen) == 2


async def test_a_redirect_to_a_private_address_is_refused() -> None:
    async with serving(lambda _: redirect("http://10.0.0.1/")) as server:
        assert kind(await fetch(request(f"http://a.test:{server.port}/"))) == "refused"


async def test_a_redirect_to_a_name_that_leads_inside_is_refused() -> None:
    async with serving(lambda _: redirect("http://inside.test/")) as server:
        resolve = resolving(["127.0.0.1"], ["192.168.0.1"])
        assert kind(await fetch(request(f"http://a.test:{server.port}/"), resolve=resolve)) == "refused"


async def test_a_redirect_to_a_host_that_is_not_allowed_is_refused() -> None:
    async with serving(lambda _: redirect("http://other.test/")) as server:
        result = await fetch(request(f"http://a.test:{server.port}/"), hosts=("a.test:*",))
    assert kind(result) == "refused"


async def test_a_redirect_to_another_scheme_is_refused() -> None:
    async with serving(lambda _: redirect("gopher://a.test/")) as server:
        assert kind(await fetch(request(f"http://a.test:{server.port}/"))) == "refused"


async def test_a_redirect_loop_ends() -> None:
    async with serving(lambda _: redirect("/")) as server:
        assert kind(await fetch(request(f"http://a.test:{server.port}/"))) == "protocol"
    assert len(server.seen) == 11


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "PUT", "GET"),
        (307, "POST", "POST"),
        (308, "PUT", "PUT"),
        (302, "PUT", "PUT"),
        (303, "HEAD", "HEAD"),
    ],
)
async def test_methods_after_a_redirect(status: int, method: str, then: str) -> None:
    def reply(seen: bytes) -> bytes:
        if b" /next " not in seen:
            return redirect("/next", status)
        return b"HTTP/1.1 204 No Content\r\n\r\n"

    body = b"" if method == "HEAD" else b"data"
    headers = (("content-type", "text/plain"),)
    async with serving(reply) as server:
        answered(await fetch(request(f"http://a.test:{server.port}/", method, headers=headers, body=body)))
    assert server.seen[1].startswith(f"{then} /next ".encode())
    assert server.seen[1].endswith(b"data") is (then not in ("GET", "HEAD"))
    assert (b"content-type" in server.seen[1].lower()) is (then != "GET")


async def test_secrets_stay_with_their_origin() -> None:
    headers = (("Authorization", "Bearer x"), ("Cookie", "a=b"), ("X-Other", "c"))
    async with serving(lambda _: ok()) as second:

        def reply(seen: bytes) -> bytes:
            return redirect(f"http://a.test:{second.port}/") if b"/same" in seen else redirect("/same")

        async with serving(reply) as first:
            answered(await fetch(request(f"http://a.test:{first.port}/", headers=headers)))
    assert b"Bearer x" in first.seen[1]
    assert b"Bearer x" not in second.seen[0]
    assert b"a=b" not in second.seen[0]
    assert b"x-other: c" in second.seen[0].lower()


async def test_a_server_that_never_answers() -> None:
    async def never(writer: asyncio.StreamWriter) -> None:
        await server.release.wait()

    async with serving(lambda _: never) as server:
        assert kind(await fetch(request(f"http://a.test:{server.port}/", timeout_ms=50))) == "timeout"


async def test_a_server_that_never_ends() -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx")
        await server.release.wait()

    async with serving(lambda _: drip) as server:
        assert kind(await fetch(request(f"http://a.test:{server.port}/", timeout_ms=50))) == "timeout"


@pytest.mark.parametrize("head", [b"", b"Content-Length: 99999999999\r\n", b"Transfer-Encoding: chunked\r\n"])
async def test_an_endless_body_is_cut_off(head: bytes) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
        piece = b"x" * 65536
        while True:
            writer.write(b"10000\r\n%s\r\n" % piece if b"chunked" in head else piece)
            await writer.drain()

    async with serving(lambda _: endless) as server:
        assert kind(await fetch(request(f"http://a.test:{server.port}/"))) == "too-large"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
    ],
)
async def test_servers_that_do_not_speak_http(answer: bytes) -> None:
    async with serving(lambda _: answer) as server:
        assert kind(await fetch(request(f"http://a.test:{server.port}/"))) == "protocol"
    assert len(server.seen) == 1, "a request is never repeated"


async def test_nothing_is_sent_before_the_gate_opens() -> None:
    gate = asyncio.Event()
    reached = asyncio.Event()

    async def hold() -> None:
        reached.set()
        await gate.wait()

    client = GuestHttpClient(OPEN, resolve=resolving(["127.0.0.1"]))
    async with serving(lambda _: ok()) as server:
        asked = request(f"http://a.test:{server.port}/")
        fetching = client.fetch(asked, allow_hosts=ANY, idempotency_key="k", before_send=hold)
        task = asyncio.create_task(fetching)
        await reached.wait()
        assert server.seen == []
        gate.set()
        answered(await task)


async def test_closing_cuts_off_what_is_under_way() -> None:
    arrived = asyncio.Event()

    async def never(writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await server.release.wait()

    client = GuestHttpClient(OPEN, resolve=resolving(["127.0.0.1"]))
    async with serving(lambda _: never) as server:
        asked = request(f"http://a.test:{server.port}/")
        task = asyncio.create_task(client.fetch(asked, allow_hosts=ANY, idempotency_key="k"))
        await arrived.wait()
        await client.close()
        with pytest.raises(asyncio.CancelledError):
            await task


def large(body: bytes, spool: Path | None = None) -> "asyncio.Future[FetchedResponse | HttpFailure]":
    async def asked() -> FetchedResponse | HttpFailure:
        async with serving(lambda _: ok(body)) as server:
            client = GuestHttpClient(OPEN, resolve=resolving(["127.0.0.1"]), spool=spool)
            url = f"http://a.test:{server.port}/"
            return await client.fetch(request(url), allow_hosts=ANY, idempotency_key="k")

    return asyncio.ensure_future(asked())


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def open_files() -> int:
    gc.collect()
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_a_large_body_is_in_a_file_without_a_name(tmp_path: Path) -> None:
    body = random.Random(1).randbytes(1_000_000)
    before = open_files()
    kept = answered(await large(body, tmp_path)).body
    assert not isinstance(kept, bytes)
    assert kept.size == len(body)
    assert await kept.read() == body
    assert names(tmp_path) == []
    kept.close()
    kept.close()
    assert open_files() <= before


async def test_a_small_body_is_in_memory(tmp_path: Path) -> None:
    assert answered(await large(b"x" * MAX_IN_MEMORY, tmp_path)).body == b"x" * MAX_IN_MEMORY


async def test_a_large_body_that_is_cut_off_leaves_nothing(tmp_path: Path) -> None:
    before = open_files()

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(ok(b"x" * 1_000_000)[:-1])
        await server.release.wait()

    async with serving(lambda _: drip) as server:
        client = GuestHttpClient(OPEN, resolve=resolving(["127.0.0.1"]), spool=tmp_path)
        asked = request(f"http://a.test:{server.port}/", timeout_ms=300)
        assert kind(await client.fetch(asked, allow_hosts=ANY, idempotency_key="k")) == "timeout"
    assert open_files() <= before
    assert names(tmp_path) == []


async def test_there_is_no_room_for_a_large_body(tmp_path: Path) -> None:
    assert kind(await large(b"x" * 1_000_000, tmp_path / "gone")) == "too-large"

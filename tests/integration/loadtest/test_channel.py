"""Connections that are kept: reused, limited, and what they make of answers that are none."""

from __future__ import annotations

import asyncio
import resource
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import certifi
import pytest
import uvloop

from mvm_ci.client import ApiClient
from mvm_ci.domain.errors import BadInput, ProtocolError, QueueFull, Refused, Unavailable
from mvm_ci.loadtest import channel as channels
from mvm_ci.loadtest.channel import Channel
from mvm_ci.loadtest.fleet import Api
from mvm_ci.loadtest.measure import Shape
from mvm_ci.serving.exchange import Exchange
from mvm_ci.serving.server import ApiServer
from mvm_ci.testing.slow_api import SlowApi, address, measurement, slow_api
from mvm_ci.wire.api import SubmitJob
from tests.integration.engine_service.test_engine_service import certificate
from tests.integration.servers import serving

BODY = b'{"jobs":[{"module":"m"}]}'


@pytest.fixture
async def plane() -> AsyncIterator[SlowApi]:
    async with slow_api(lambda: 0.01) as made:
        yield made


def channel(api: Api, *, connections: int = 10, answer_s: float = 30.0) -> Channel:
    return Channel(api, connections=connections, answer_s=answer_s)


def at(url: str) -> Api:
    return Api(url=url, token="t")


def all_free(one: Channel) -> bool:
    """Whether no connection has a request under way, or is being opened for one."""
    return len(one._free) == len(one._open) and not one._opening


async def test_connections_are_used_again(plane: SlowApi) -> None:
    async with channel(address(plane)) as one:
        request = one.request("POST", "/v1/jobs", BODY)
        for _ in range(5):
            assert b'"completed"' in await one.send(request)
        assert plane.server.open == 1
        await asyncio.gather(*[one.send(request) for _ in range(5)])
        assert plane.server.open == 5
        assert all_free(one)


async def test_no_more_than_allowed_are_opened_and_the_others_wait_in_line(plane: SlowApi) -> None:
    async with channel(address(plane), connections=3) as one:
        request = one.request("POST", "/v1/jobs", BODY)
        await asyncio.gather(*[one.send(request) for _ in range(20)])
    assert plane.most <= 3
    assert len(plane.took_ms) == 20


def test_there_are_no_more_than_open_files_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, 4_096))
    assert channel(at("http://127.0.0.1:1"), connections=1_000).connections == 768
    assert channel(at("http://127.0.0.1:1"), connections=100).connections == 100


async def test_what_the_api_is_told(plane: SlowApi) -> None:
    api = Api(url=plane.server.url, token="secret", namespace="shop")
    async with channel(api) as one:
        await one.send(one.request("POST", "/v1/jobs", BODY))
    host = plane.server.url.removeprefix("http://").encode()
    told = {name: plane.seen[name] for name in (b"host", b"authorization", b"x-namespace", b"content-type")}
    assert told == {
        b"host": host,
        b"authorization": b"Bearer secret",
        b"x-namespace": b"shop",
        b"content-type": b"application/json",
    }


async def test_problems_are_the_errors_that_they_stand_for(plane: SlowApi) -> None:
    async with channel(address(plane)) as one:
        request = one.request("POST", "/v1/jobs", BODY)
        plane.refuses = 1
        with pytest.raises(QueueFull, match="10 jobs are all it takes") as full:
            await one.send(request)
        assert full.value.retry_after_s == 7
        plane.refuses, plane.refusal = 1, (401, "refused", "no such token")
        with pytest.raises(Refused):
            await one.send(request)
        # The connection is as good as before.
        assert b'"completed"' in await one.send(request)
        assert plane.server.open == 1


async def test_an_answer_that_nobody_waited_for_is_not_that_of_the_next_request(plane: SlowApi) -> None:
    async with channel(address(plane), connections=1) as one:
        request = one.request("POST", "/v1/jobs", BODY)
        given_up = asyncio.create_task(one.send(request))
        while not plane.under_way:  # noqa: ASYNC110 - of a fake
            await asyncio.sleep(0.001)
        two_jobs = b'{"jobs":[{"module":"m"},{"module":"m"}]}'
        waiting = asyncio.create_task(one.send(one.request("POST", "/v1/jobs", two_jobs)))
        await asyncio.sleep(0)
        given_up.cancel()
        assert (await waiting).count(b'"completed"') == 2


async def test_one_in_line_that_gives_up_loses_nothing(plane: SlowApi) -> None:
    async with channel(address(plane), connections=1) as one:
        request = one.request("POST", "/v1/jobs", BODY)
        first, second, third = (asyncio.create_task(one.send(request)) for _ in range(3))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(first, third)
        assert second.cancelled()
        assert plane.server.open == 1


async def test_chunks_and_other_capitals_are_an_answer_too() -> None:
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    async with serving(lambda _: reply) as server, channel(at(f"http://127.0.0.1:{server.port}")) as one:
        assert await one.send(one.request("GET", "/")) == b"abcde"


async def test_a_path_before_the_api_is_kept() -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    async with serving(lambda _: reply) as server:
        async with channel(at(f"http://127.0.0.1:{server.port}/mvm/")) as one:
            for _ in range(2):  # the second needs another connection
                assert await one.send(one.request("GET", "/v1/status")) == b""
        assert [seen.split(b" ")[1] for seen in server.seen] == [b"/mvm/v1/status"] * 2


@pytest.mark.parametrize(
    ("reply", "error", "says"),
    [
        (b"", Unavailable, "closed the connection before it answered"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", Unavailable, "closed the connection"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", ProtocolError, "what is no HTTP/1.1"),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", ProtocolError, "redirects"),
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 6\r\n\r\n<html>", Unavailable, "status 502"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", Exception, "is a control plane there"),
    ],
)
async def test_what_is_no_answer(reply: bytes, error: type[Exception], says: str) -> None:
    async with serving(lambda _: reply) as server, channel(at(f"http://127.0.0.1:{server.port}")) as one:
        with pytest.raises(error, match=says):
            await one.send(one.request("GET", "/"))
        assert all_free(one)


async def test_nobody_listens(plane: SlowApi) -> None:
    await plane.server.stop()
    async with channel(address(plane), connections=1) as one:
        request = one.request("GET", "/")
        sent = await asyncio.gather(*[one.send(request) for _ in range(3)], return_exceptions=True)
        assert [str(error) for error in sent] == [f"cannot reach {plane.server.url}: {_refusal(sent[0])}"] * 3
        assert all(isinstance(error, Unavailable) for error in sent)


def _refusal(error: object) -> str:
    return str(error).rpartition(": ")[2]


async def test_an_answer_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "_LOOK_S", 0.02)
    async with slow_api(lambda: 60.0) as plane, channel(address(plane), answer_s=0.1) as one:
        with pytest.raises(Unavailable, match=r"has not answered within 0\.1 s"):
            await one.send(one.request("POST", "/v1/jobs", BODY))
        assert all_free(one)


async def test_an_idle_connection_is_closed_before_the_server_does(
    plane: SlowApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "_LOOK_S", 0.02)
    monkeypatch.setattr(channels, "_IDLE_S", 0.1)
    async with channel(address(plane)) as one:
        request = one.request("POST", "/v1/jobs", BODY)
        await asyncio.gather(*[one.send(request) for _ in range(3)])
        async with asyncio.timeout(30):
            while plane.server.open:  # noqa: ASYNC110 - of a fake
                await asyncio.sleep(0.01)
        assert all_free(one)
        assert b'"completed"' in await one.send(request)


async def test_over_tls_to_whom_the_client_of_the_api_trusts_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await asyncio.to_thread(certificate, tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    async with slow_api(lambda: 0.0, tls=context) as plane:
        async with channel(address(plane)) as one:
            with pytest.raises(Unavailable, match="certificate"):
                await one.send(one.request("POST", "/v1/jobs", BODY))
        async with ApiClient(plane.server.url, "t") as client:
            with pytest.raises(Unavailable, match="certificate"):
                await client.submit([SubmitJob(module="m")])
        monkeypatch.setattr(certifi, "where", lambda: str(file))
        async with channel(address(plane)) as one:
            for _ in range(3):
                assert b'"completed"' in await one.send(one.request("POST", "/v1/jobs", BODY))
            assert plane.server.open == 1
        async with ApiClient(plane.server.url, "t") as client:
            assert [job.state for job in await client.submit([SubmitJob(module="m")])] == ["completed"]


async def test_over_ipv6() -> None:
    async def answer(exchange: Exchange) -> None:
        exchange.reply(200, exchange.headers[b"host"], b"text/plain")

    server = ApiServer(answer, "::1", 0, 0.0)
    await server.start()
    async with channel(at(server.url)) as one:
        assert await one.send(one.request("GET", "/")) == server.url.removeprefix("http://").encode()
    await server.stop()


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:3020", "ftp://host", "http://", "http://host:port", "http://[::1"]
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(BadInput, match="is no address of an API; one is like"):
        channel(at(url))


def test_in_real_time_on_the_loop_that_it_is_made_for() -> None:
    async def run() -> None:
        async with slow_api(lambda: 0.1) as plane, measurement(address(plane), Shape(rate=100.0), 1.5) as one:
            found = await one.run()
        # How busy this machine is may not matter: the exact figures are those of virtual time.
        assert found.latency.p50 == pytest.approx(sorted(plane.took_ms)[len(plane.took_ms) // 2], rel=0.5)
        assert found.failed == 0
        assert found.jobs > 50
        assert found.late_p99_ms >= 0

    uvloop.run(run())

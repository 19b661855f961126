"""The API over the peers' network: what works over TCP works for who has the ticket, and a token."""

import asyncio
import hashlib
import random
import re
from collections.abc import AsyncIterator
from typing import Any, Self

import pytest

from mvm_ci.adapters.iroh import IrohTransport
from mvm_ci.client import AsyncClient
from mvm_ci.client.by_ticket import TicketTransport, address_of
from mvm_ci.control_plane import links
from mvm_ci.domain.errors import BadInput, Refused, Unavailable
from mvm_ci.domain.outcome import Completed
from mvm_ci.domain.role import Role
from mvm_ci.serving import peer_caller
from mvm_ci.wire import http
from mvm_ci.wire import messages as m
from mvm_ci.wire.api import SetQuota, SubmitJob
from tests.integration.control_plane.conftest import MODULE, Stand, api_token

JOB = SubmitJob(module=MODULE)
REQUEST = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture(params=["memory", "iroh"])
async def there(request: pytest.FixtureRequest, stand: Stand) -> Stand:
    """A control plane on a network in memory, or on the real one."""
    if request.param == "iroh":
        await stand.stop()
        stand.transport, stand.address = IrohTransport(), "127.0.0.1:0"
        await stand.start()
    return stand


def by_ticket(stand: Stand, token: str = api_token(Role.ADMIN)) -> AsyncClient:
    ticket = stand.endpoint.ticket()
    return AsyncClient(address_of(ticket), token, TicketTransport(stand.transport, ticket, "127.0.0.1:0"))


@pytest.fixture
async def client(there: Stand) -> AsyncIterator[AsyncClient]:
    async with by_ticket(there) as client:
        yield client


async def test_a_job_is_submitted_watched_and_waited_for(there: Stand, client: AsyncClient) -> None:
    (job,) = await client.submit([JOB])
    seen: list[str] = []

    async def watch() -> None:
        async for event in client.events(after=0, job=job.id):
            seen.append(event.kind)
            if event.kind == "ended":
                return

    watching = asyncio.create_task(watch())
    waiting = asyncio.create_task(client.wait(job.id, 30))
    worker = await there.worker()
    await worker.welcome(credit=1)
    (assigned,) = await worker.assigned()
    await worker.send(m.Ended((m.EndedItem(assigned.placed, Completed(b'"done"'), None),)))
    assert (await waiting).state == "completed"
    async with asyncio.timeout(10):
        await watching
    assert seen[-2:] == ["submitted", "ended"]
    assert await client.result(job.id) == b'"done"'


async def test_many_requests_share_the_connection(there: Stand, client: AsyncClient) -> None:
    await client.submit([JOB] * 1_000)
    pages = await asyncio.gather(*(client.jobs(limit=1_000) for _ in range(20)))
    assert {len(page.jobs) for page in pages} == {1_000}
    assert len(there.plane.links._callers) == 1


async def test_bodies_of_any_size_go_both_ways(client: AsyncClient) -> None:
    data = random.Random(1).randbytes(6 << 20)
    stored = await client.upload(data)
    assert (stored.digest, stored.size) == (hashlib.sha256(data).hexdigest(), len(data))


async def test_a_ticket_is_an_address_and_no_permission(there: Stand) -> None:
    stranger = "mvm_api_" + "A" * 43
    async with by_ticket(there, stranger) as client:
        assert (await client.live())["status"] == "live"
        with pytest.raises(Refused):
            await client.jobs()
    async with by_ticket(there, api_token(Role.VIEWER)) as viewer:
        assert (await viewer.jobs()).jobs == ()
        with pytest.raises(Refused):
            await viewer.submit([JOB])


async def test_the_audit_log_names_the_peer(client: AsyncClient) -> None:
    await client.create_namespace("shown", SetQuota())
    addresses = [entry.address for entry in await client.audit() if entry.target == "shown"]
    assert [address[:5] for address in addresses] == ["peer "]
    assert len(addresses[0]) == 5 + 64


async def test_a_client_finds_the_control_plane_again_after_its_restart(there: Stand) -> None:
    if isinstance(there.transport, IrohTransport):
        await there.stop()
        there.address = there.endpoint.address
        await there.start()
    async with by_ticket(there) as client:
        await client.live()
        await there.stop()
        with pytest.raises(Unavailable):
            await client.live()
        await there.start()
        async with asyncio.timeout(30):
            while True:
                try:
                    assert (await client.live())["status"] == "live"
                    return
                except Unavailable:
                    await asyncio.sleep(0.05)


async def test_what_is_no_ticket_and_who_is_not_there_are_told_apart(there: Stand) -> None:
    ticket = there.endpoint.ticket()
    broken = ticket[:-4] if isinstance(there.transport, IrohTransport) else "nonsense"
    transport = TicketTransport(there.transport, broken, "127.0.0.1:0")
    async with AsyncClient(address_of(broken), api_token(Role.ADMIN), transport) as client:
        with pytest.raises(BadInput, match="not an endpoint ticket"):
            await client.live()
    await there.stop()
    transport = TicketTransport(there.transport, ticket, "127.0.0.1:0")
    async with AsyncClient(address_of(ticket), api_token(Role.ADMIN), transport) as client:
        with pytest.raises(Unavailable, match="nobody answered at"):
            await client.live()
    await there.start()


# ---------------------------------------------------------------- what a peer may take


class Peer:
    """Someone who opens streams and writes what it likes."""

    def __init__(self, stand: Stand, number: int = 1) -> None:
        self._stand = stand
        self._key = bytes([number]) * 32
        self.endpoint: Any = None
        self.connection: Any = None

    async def __aenter__(self) -> Self:
        self.endpoint = await self._stand.transport.bind(
            secret_key=self._key, address="127.0.0.1:0", alpns=[http.ALPN]
        )
        self.connections: list[Any] = []
        await self.dial()
        return self

    async def dial(self) -> None:
        """Another connection, of which ``ask`` and ``closed`` are."""
        self.connection = await self.endpoint.connect(self._stand.endpoint.ticket())
        self.connections.append(self.connection)

    async def __aexit__(self, *_: object) -> None:
        await self.endpoint.close()

    async def ask(self, request: bytes) -> Any:
        """The stream on which ``request`` went."""
        stream = await self.connection.open()
        await stream.write(request)
        return stream

    async def closed(self) -> tuple[int, str]:
        """How the control plane ended the connection."""
        async with asyncio.timeout(10):
            with pytest.raises(Unavailable):
                await self.connection.accept()
        found: tuple[int, str] = self.connection.closed_by_peer()
        return found


async def to_the_end(stream: Any) -> bytes:
    found = b""
    async with asyncio.timeout(10):
        while piece := await stream.read():
            found += piece
    return found


async def two_and_no_third(peer: Peer) -> list[Any]:
    """Two streams, which are answered, and open as long as they are held; another one is broken off."""
    kept = [await peer.ask(REQUEST) for _ in range(2)]
    for stream in kept:
        assert (await stream.read()).startswith(b"HTTP/1.1 200")
    third = await peer.ask(REQUEST)
    async with asyncio.timeout(10):
        with pytest.raises(Unavailable):
            await third.read()
    return kept


async def test_a_stream_of_nonsense_costs_that_stream_alone(there: Stand) -> None:
    async with Peer(there) as peer:
        kept = await peer.ask(REQUEST)
        assert (await kept.read()).startswith(b"HTTP/1.1 200")
        bad = await peer.ask(b"\x00\x01 nonsense\r\n\r\n")
        assert (await to_the_end(bad)).startswith(b"HTTP/1.1 400")
        await kept.write(REQUEST)
        assert (await kept.read()).startswith(b"HTTP/1.1 200")


async def test_streams_beyond_the_limit_are_broken_off(there: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_caller, "STREAMS", 2)
    async with Peer(there) as peer:
        kept = await two_and_no_third(peer)
        await kept[0].finish()
        assert await to_the_end(kept[0]) == b""
        async with asyncio.timeout(10):
            while True:
                again = await peer.ask(REQUEST)
                try:
                    assert (await again.read()).startswith(b"HTTP/1.1 200")
                    break
                except Unavailable:  # the one that ended still counts
                    await asyncio.sleep(0.01)


async def test_callers_by_ticket_leave_half_of_the_connections_to_others(
    there: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(there.plane._server, "_most", 4)
    async with Peer(there) as peer:
        kept = await two_and_no_third(peer)
        async with there.client() as over_tcp:
            assert (await over_tcp.get("/livez")).status_code == 200
        await kept[0].write(REQUEST)
        assert (await kept[0].read()).startswith(b"HTTP/1.1 200")


async def test_more_requests_at_once_than_streams_wait_for_their_turn(
    there: Stand, client: AsyncClient
) -> None:
    answers = await asyncio.gather(*(client.live() for _ in range(3 * http.STREAMS)))
    assert {answer["status"] for answer in answers} == {"live"}
    assert there.plane._server._streams <= http.STREAMS


async def test_an_answer_that_was_begun_arrives_though_the_control_plane_stops(there: Stand) -> None:
    async with by_ticket(there) as client:
        await client.submit([JOB] * 1_000)
    ask = b"GET /v1/jobs?limit=1000 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\n\r\n"
    async with Peer(there) as peer:
        stream = await peer.ask(ask % api_token(Role.ADMIN).encode())
        head = await stream.read(200)
        length = int(re.search(rb"content-length: (\d+)", head)[1])  # type: ignore[index]
        reading = asyncio.create_task(to_the_end(stream))
        await there.stop()
        answer = head + await reading
        assert len(answer.partition(b"\r\n\r\n")[2]) == length
        await there.start()


async def test_a_peer_that_asks_nothing_is_hung_up_on(there: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_caller, "IDLE_S", 0.1)
    async with Peer(there) as peer:
        waits = await peer.ask(b"GET /v1/events?follow=1 HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await waits.read()).startswith(b"HTTP/1.1 401")
        await asyncio.sleep(0.3)  # longer than it is waited for, but a stream is open
        await waits.write(REQUEST)
        assert (await waits.read()).startswith(b"HTTP/1.1 200")
        await waits.finish()
        assert await peer.closed() == (m.CLOSE_SILENT, "nothing was asked for a while")


async def test_callers_beyond_the_limit_are_turned_away_and_workers_are_not(
    there: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "MAX_CALLERS", 3)
    monkeypatch.setattr(links, "MAX_OF_PEER", 2)
    async with Peer(there, 1) as one, Peer(there, 2) as other:
        stream = await one.ask(REQUEST)
        assert (await stream.read()).startswith(b"HTTP/1.1 200")
        stream = await other.ask(REQUEST)
        assert (await stream.read()).startswith(b"HTTP/1.1 200")
        await one.dial()
        stream = await one.ask(REQUEST)
        assert (await stream.read()).startswith(b"HTTP/1.1 200"), "a peer may have two"
        await one.dial()
        assert (await one.closed())[0] == m.CLOSE_SILENT, "and not three"
        async with Peer(there, 3) as last:
            assert (await last.closed())[0] == m.CLOSE_SILENT
        worker = await there.worker()
        assert isinstance(await worker.say_hello(), m.Welcome)


async def test_a_control_plane_that_stops_ends_answers_and_then_the_connection(there: Stand) -> None:
    async with Peer(there) as peer:
        token = api_token(Role.ADMIN).encode()
        follow = b"GET /v1/events?follow=1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\n\r\n"
        stream = await peer.ask(follow % token)
        assert (await stream.read()).startswith(b"HTTP/1.1 200")
        there.plane._server._stop_s = 0.1
        await there.stop()
        assert (await peer.closed())[0] == m.CLOSE_DONE
        await there.start()

"""Relays are used if the operator names them, and only those."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import iroh
import pytest

from mvm_ci.adapters.iroh import IrohEndpoint, IrohTransport, Relays
from mvm_ci.domain.errors import BadInput, Misconfigured, Unavailable

ROOT = Path(__file__).resolve().parents[3]
Bind = Callable[..., Awaitable[IrohEndpoint]]


class Listener:
    """Stands where a relay would, answers nothing, and notes that somebody came."""

    def __init__(self) -> None:
        self.visited = asyncio.Event()
        self.url = ""

    async def serve(self, stack: AsyncExitStack) -> None:
        server = await asyncio.start_server(self._come, "127.0.0.1", 0)
        stack.push_async_callback(server.wait_closed)
        stack.callback(server.close)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _come(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visited.set()
        writer.close()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as made:
        yield made


@pytest.fixture
async def listener(stack: AsyncExitStack) -> Listener:
    made = Listener()
    await made.serve(stack)
    return made


@pytest.fixture
def bind(stack: AsyncExitStack) -> Bind:
    async def make(number: int, relays: Relays | None = None, external: str | None = None) -> IrohEndpoint:
        transport = IrohTransport(relays, external)
        endpoint = await transport.bind(
            secret_key=bytes([number]) * 32, address="127.0.0.1:0", alpns=[b"test/1"]
        )
        stack.push_async_callback(endpoint.close)
        return endpoint

    return make


def parts(ticket: str) -> tuple[str | None, list[str]]:
    """Relay and addresses in a ticket."""
    address = iroh.EndpointTicket.from_string(ticket).endpoint_addr()
    return address.relay_url(), address.direct_addresses()


def with_relay(ticket: str, relay: str, *, direct: bool = True) -> str:
    address = iroh.EndpointTicket.from_string(ticket).endpoint_addr()
    addresses = address.direct_addresses() if direct else []
    return str(iroh.EndpointTicket.from_addr(iroh.EndpointAddr(address.id(), relay, addresses)))


async def test_by_default_a_ticket_names_no_relay(bind: Bind) -> None:
    endpoint = await bind(1)
    assert parts(endpoint.ticket()) == (None, [endpoint.address])


async def test_a_ticket_names_the_relay_even_before_it_was_reached(bind: Bind, listener: Listener) -> None:
    endpoint = await bind(1, Relays.own([listener.url]))
    assert parts(endpoint.ticket()) == (listener.url + "/", [endpoint.address])
    await asyncio.wait_for(listener.visited.wait(), 60)
    assert not await endpoint.reach_relay(0.1)


async def test_a_relay_that_only_the_ticket_names_is_not_used(bind: Bind, listener: Listener) -> None:
    server, client = await bind(1), await bind(2)
    accepting = asyncio.create_task(server.accept())
    near = await client.connect(with_relay(server.ticket(), listener.url))
    far = await accepting
    assert (near.path(), far.peer) == ("direct", client.id)
    assert not listener.visited.is_set()
    # One that was told of it goes there.
    third = await bind(3, Relays.own([listener.url]))
    with pytest.raises(Unavailable, match=listener.url):
        await third.connect(with_relay(server.ticket(), listener.url, direct=False), timeout_s=1)
    await asyncio.wait_for(listener.visited.wait(), 60)


async def test_a_ticket_with_nothing_but_a_relay_needs_that_relay(bind: Bind, listener: Listener) -> None:
    server = await bind(1)
    client = await bind(2, Relays.own(["http://127.0.0.1:9"]))
    ticket = with_relay(server.ticket(), listener.url, direct=False)
    with pytest.raises(BadInput, match="neither --relay nor MVM_CI_RELAY names it"):
        await client.connect(ticket)
    assert not listener.visited.is_set()


async def test_the_ticket_carries_the_address_beyond_a_nat(bind: Bind) -> None:
    endpoint = await bind(1, external="203.0.113.9:4433")
    assert parts(endpoint.ticket())[1] == sorted([endpoint.address, "203.0.113.9:4433"])
    with pytest.raises(Misconfigured, match="not a UDP address"):
        IrohTransport(external="relay.example:1")


def test_what_is_no_address_of_a_relay_says_so() -> None:
    with pytest.raises(Misconfigured, match="not an address of a relay"):
        Relays.own(["http://["])


def test_the_public_relays_are_the_documented_ones() -> None:
    page = (ROOT / "docs" / "networking.md").read_text()
    urls = iroh.RelayMode.default_mode().relay_map().urls()
    assert urls
    assert all(Relays.public().allows(url) for url in urls)
    for url in urls:
        assert f"`{url.removeprefix('https://').rstrip('./')}`" in page

"""One suite for every transport: what `ports.transport` promises."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from mvm_ci.adapters.iroh import IrohTransport
from mvm_ci.domain.errors import BadInput, Misconfigured, Unavailable
from mvm_ci.testing.transport import MemoryNetwork, MemoryTransport

ALPN = b"test/1"
KEYS = {name: bytes([number]) * 32 for number, name in enumerate(("server", "client", "third"), start=1)}


class Net:
    """Binds endpoints and closes them at the end."""

    def __init__(self, transport: Any, stack: AsyncExitStack) -> None:
        self.transport = transport
        self._stack = stack

    async def endpoint(
        self, name: str, address: str = "127.0.0.1:0", alpns: Sequence[bytes] = (ALPN,)
    ) -> Any:
        endpoint = await self.transport.bind(secret_key=KEYS[name], address=address, alpns=alpns)
        self._stack.push_async_callback(endpoint.close)
        return endpoint

    async def pair(self) -> tuple[Any, Any]:
        server, client = await self.endpoint("server"), await self.endpoint("client")
        accepting = asyncio.create_task(server.accept())
        return await client.connect(server.ticket()), await accepting

    async def streams(self) -> tuple[Any, Any]:
        near, far = await self.pair()
        stream = await near.open()
        await stream.write(b"first")
        other = await far.accept()
        assert await other.read() == b"first"
        # The connections must outlive their streams.
        self._stack.callback(lambda: (near, far))
        return stream, other


@pytest.fixture(params=["memory", "iroh"])
async def net(request: pytest.FixtureRequest) -> AsyncIterator[Net]:
    transport = MemoryTransport(MemoryNetwork()) if request.param == "memory" else IrohTransport()
    async with AsyncExitStack() as stack:
        yield Net(transport, stack)


async def read_all(stream: Any) -> bytes:
    data = bytearray()
    while piece := await stream.read():
        data += piece
    return bytes(data)


async def test_each_side_knows_the_other_s_key(net: Net) -> None:
    server, client = await net.endpoint("server"), await net.endpoint("client")
    accepting = asyncio.create_task(server.accept())
    near = await client.connect(server.ticket())
    far = await accepting
    assert near.peer == server.id
    assert far.peer == client.id
    assert len(server.id) == 64
    int(server.id, 16)


async def test_the_key_decides_the_id(net: Net) -> None:
    first = await net.endpoint("server")
    identity = first.id
    await first.close()
    assert (await net.endpoint("server")).id == identity
    assert (await net.endpoint("third")).id != identity


async def test_each_side_knows_which_protocol_is_spoken(net: Net) -> None:
    server = await net.endpoint("server", alpns=[ALPN, b"other/1"])
    for name, spoken in (("client", ALPN), ("third", b"other/1")):
        client = await net.endpoint(name, alpns=[spoken])
        accepting = asyncio.create_task(server.accept())
        near = await client.connect(server.ticket())
        assert [near.protocol, (await accepting).protocol] == [spoken, spoken]


async def test_who_speaks_none_of_its_protocols_is_not_let_in(net: Net) -> None:
    server = await net.endpoint("server")
    stranger = await net.endpoint("client", alpns=[b"other/1"])
    with pytest.raises(Unavailable, match="cannot connect"):
        await stranger.connect(server.ticket())


async def test_a_stream_that_is_broken_off_does_not_look_like_one_that_ended(net: Net) -> None:
    near, far = await net.pair()
    streams = [await near.open() for _ in range(2)]
    others = []
    for stream in streams:
        await stream.write(b"x")
        others.append(await far.accept())
        assert await others[-1].read() == b"x"
    await streams[0].reset()
    await streams[0].reset()
    with pytest.raises(Unavailable):
        await others[0].read()
    with pytest.raises(Unavailable):
        await streams[0].read()
    await streams[1].write(b"y")
    assert await others[1].read() == b"y", "the others do not notice"
    await near.close(0, "")
    await streams[1].reset()


async def test_who_finished_can_wait_until_the_peer_has_it(net: Net) -> None:
    stream, other = await net.streams()
    await stream.write(b"last")
    await stream.finish()
    async with asyncio.timeout(10):
        await stream.taken()
    assert await read_all(other) == b"last"


async def test_bytes_arrive_in_order_and_then_the_end(net: Net) -> None:
    stream, other = await net.streams()
    sent = [bytes([number % 251]) * (number * 37) for number in range(200)]

    async def send() -> None:
        for piece in sent:
            await stream.write(piece)
        await stream.finish()

    sending = asyncio.create_task(send())
    assert await read_all(other) == b"".join(sent)
    await sending
    assert await other.read() == b""
    await other.write(b"and back")
    assert await stream.read() == b"and back"


async def test_a_large_write_needs_a_reader_and_loses_nothing(net: Net) -> None:
    stream, other = await net.streams()
    data = bytes(range(256)) * (8 << 12)

    async def send() -> None:
        await stream.write(data)
        await stream.finish()

    sending = asyncio.create_task(send())
    assert await read_all(other) == data
    await sending


async def test_a_read_gives_at_most_what_was_asked_for(net: Net) -> None:
    stream, other = await net.streams()
    await stream.write(b"abcdef")
    assert len(await other.read(2)) <= 2


async def test_streams_do_not_mix(net: Net) -> None:
    near, far = await net.pair()
    streams = [await near.open() for _ in range(10)]
    for number, stream in enumerate(streams):
        await stream.write(f"stream {number}".encode())
        await stream.finish()
    seen = {await read_all(await far.accept()) for _ in streams}
    assert seen == {f"stream {number}".encode() for number in range(10)}


async def test_the_peer_reads_why_a_connection_was_closed(net: Net) -> None:
    near, far = await net.pair()
    waiting = asyncio.create_task(near.accept())
    await far.close(403, "revoked (by Zoë)")
    with pytest.raises(Unavailable):
        await waiting
    assert near.closed_by_peer() == (403, "revoked (by Zoë)")
    assert far.closed_by_peer() is None
    await far.close(403, "again")
    with pytest.raises(Unavailable):
        await near.open()


async def test_a_close_without_reason_can_be_read_as_well(net: Net) -> None:
    near, far = await net.pair()
    waiting = asyncio.create_task(near.accept())
    await far.close(0, "")
    with pytest.raises(Unavailable):
        await waiting
    assert near.closed_by_peer() == (0, "")


async def test_a_close_ends_reads_on_both_sides(net: Net) -> None:
    near, far = await net.pair()
    stream = await near.open()
    await stream.write(b"x")
    other = await far.accept()
    assert await other.read() == b"x"
    reading = [asyncio.create_task(side.read()) for side in (stream, other)]
    await asyncio.sleep(0)
    await near.close(7, "enough")
    for task in reading:
        with pytest.raises(Unavailable):
            await task
    with pytest.raises(Unavailable):
        await stream.write(b"y")


async def test_a_peer_that_lives_is_heard_without_a_word_and_one_that_is_gone_is_not(net: Net) -> None:
    near, far = await net.pair()
    before = near.heard()
    async with asyncio.timeout(30):
        while near.heard() == before:  # noqa: ASYNC110 (the port has no event for it)
            await asyncio.sleep(0.1)  # the network says something every few seconds
    waiting = asyncio.create_task(near.accept())
    await far.close(0, "")
    with pytest.raises(Unavailable):
        await waiting
    after = near.heard()
    await asyncio.sleep(0)
    assert near.heard() == after


async def test_what_is_no_ticket_is_bad_input(net: Net) -> None:
    client = await net.endpoint("client")
    for text in ("", "hello", "endpoint", "endpointabc", "https://example.org", "\0", "x" * 10_000):
        with pytest.raises(BadInput, match="not an endpoint ticket"):
            await client.connect(text)


async def test_nobody_there_is_unavailable_in_time(net: Net) -> None:
    server, client = await net.endpoint("server"), await net.endpoint("client")
    ticket = server.ticket()
    await server.close()
    with pytest.raises(Unavailable):
        await client.connect(ticket, timeout_s=0.2)


async def test_a_port_in_use_is_the_operator_s_to_solve(net: Net) -> None:
    server = await net.endpoint("server")
    with pytest.raises(Misconfigured, match="in use"):
        await net.endpoint("third", server.address)


async def test_a_ticket_outlives_a_restart_on_the_same_address(net: Net) -> None:
    server, client = await net.endpoint("server"), await net.endpoint("client")
    ticket, address = server.ticket(), server.address
    await server.close()
    again = await net.endpoint("server", address)
    accepting = asyncio.create_task(again.accept())
    near = await client.connect(ticket)
    assert near.peer == again.id
    assert (await accepting).peer == client.id


async def test_a_closed_endpoint_accepts_and_dials_nobody(net: Net) -> None:
    server, client = await net.endpoint("server"), await net.endpoint("client")
    accepting = [asyncio.create_task(server.accept()) for _ in range(2)]
    ticket = client.ticket()
    await asyncio.sleep(0)
    await server.close()
    await server.close()
    for task in accepting:
        with pytest.raises(Unavailable):
            await task
    with pytest.raises(Unavailable):
        await server.accept()
    with pytest.raises(Unavailable):
        await server.connect(ticket, timeout_s=1)


async def test_closing_an_endpoint_closes_its_connections(net: Net) -> None:
    server, client = await net.endpoint("server"), await net.endpoint("client")
    accepting = asyncio.create_task(server.accept())
    near = await client.connect(server.ticket())
    await accepting
    waiting = asyncio.create_task(near.accept())
    await server.close()
    with pytest.raises(Unavailable):
        await waiting


async def test_a_connection_says_how_its_bytes_travel(net: Net) -> None:
    near, far = await net.pair()
    stream = await near.open()
    await stream.write(b"x")
    await (await far.accept()).read()
    assert (near.path(), far.path()) == ("direct", "direct")
    await near.close(0, "over")
    with pytest.raises(Unavailable):
        await far.accept()
    assert far.path() is None

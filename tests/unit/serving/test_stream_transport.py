"""A peer's stream as a transport: what asyncio promises a protocol holds."""

import asyncio
from typing import Any

import pytest

from mvm_ci.domain.errors import Unavailable
from mvm_ci.serving.stream_transport import HIGH, LOW, StreamTransport
from mvm_ci.testing.clock import settle
from mvm_ci.testing.transport import WINDOW, MemoryNetwork, MemoryTransport

ALPN = b"test/1"


class Recorder(asyncio.Protocol):
    """Notes what it is told. ``keeps``: its answer to the end of what comes."""

    def __init__(self, *, keeps: bool = False) -> None:
        self.transport: Any = None
        self.told: list[object] = []
        self.keeps = keeps
        self.fails = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.told.append(transport.get_extra_info("peername"))

    def data_received(self, data: bytes) -> None:
        if self.fails:
            raise RuntimeError("a bug")
        self.told.append(data)

    def eof_received(self) -> bool:
        self.told.append("eof")
        return self.keeps

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append(("lost", type(exc)))


class Wire:
    """``near``: the peer's end of the stream; ``protocol`` has the other one."""

    def __init__(self) -> None:
        self.protocol = Recorder()
        self.near: Any = None
        self.connection: Any = None
        self.running: asyncio.Task[None] = None  # type: ignore[assignment]

    async def open(self) -> None:
        transport = MemoryTransport(MemoryNetwork())
        server = await transport.bind(secret_key=b"s", address="memory:0", alpns=[ALPN])
        client = await transport.bind(secret_key=b"c", address="memory:0", alpns=[ALPN])
        self.connection = await client.connect(server.ticket())
        far = await server.accept()
        self.near = await self.connection.open()
        await self.near.write(b"hello")
        self.running = asyncio.create_task(StreamTransport(await far.accept(), self.protocol, "peer 1").run())
        await settle()


@pytest.fixture
async def wire() -> Wire:
    wire = Wire()
    await wire.open()
    return wire


async def test_what_comes_and_what_goes_and_the_end(wire: Wire) -> None:
    wire.protocol.transport.write(b"an ")
    wire.protocol.transport.write(bytearray(b"answer"))
    wire.protocol.transport.close()
    wire.protocol.transport.write(b" too late")
    assert await wire.near.read() == b"an answer"
    assert await wire.near.read() == b""
    await wire.running
    assert wire.protocol.told == [("peer 1",), b"hello", ("lost", type(None))]


async def test_the_peer_s_end_closes_it_unless_the_protocol_has_more_to_say(wire: Wire) -> None:
    await wire.near.finish()
    await wire.running
    assert wire.protocol.told[-2:] == ["eof", ("lost", type(None))]
    assert await wire.near.read() == b""

    other = Wire()
    other.protocol.keeps = True
    await other.open()
    await other.near.finish()
    await settle()
    assert other.protocol.told[-1] == "eof"
    other.protocol.transport.write(b"more")
    other.protocol.transport.close()
    assert await other.near.read() == b"more"
    await other.running


async def test_an_own_end_still_lets_the_peer_s_bytes_come(wire: Wire) -> None:
    wire.protocol.transport.write_eof()
    assert await wire.near.read() == b""
    await wire.near.write(b"still")
    await settle()
    assert wire.protocol.told[-1] == b"still"
    wire.protocol.transport.close()
    await wire.running


async def test_who_pauses_reading_is_told_nothing_until_it_goes_on(wire: Wire) -> None:
    wire.protocol.transport.pause_reading()
    await wire.near.write(b"1")
    await wire.near.write(b"2")
    await settle()
    assert wire.protocol.told == [("peer 1",), b"hello"]
    wire.protocol.transport.resume_reading()
    await settle()
    assert b"".join(told for told in wire.protocol.told if isinstance(told, bytes)) == b"hello12"


async def test_a_peer_that_takes_nothing_pauses_the_protocol_once(wire: Wire) -> None:
    data = bytes(HIGH + 1)
    wire.protocol.transport.write(data)
    assert wire.protocol.told[-1:] == ["pause"]
    await settle()
    assert wire.protocol.told[-1:] == ["resume"]
    many = WINDOW // len(data) + 3
    for _ in range(many):
        wire.protocol.transport.write(data)
    await settle()
    assert wire.protocol.told.count("pause") == 2
    left = (many + 1) * len(data)
    while left > LOW:
        left -= len(await wire.near.read())
        await settle()
    assert wire.protocol.told[-2:] == ["pause", "resume"]


async def test_what_is_broken_off_is_no_end_for_the_peer(wire: Wire) -> None:
    wire.protocol.transport.write(bytes(2 * WINDOW))
    await settle()
    wire.protocol.transport.abort()
    await wire.running
    assert wire.protocol.told[-1] == ("lost", type(None))
    with pytest.raises(Unavailable):
        await wire.near.read(3 * WINDOW)


async def test_a_peer_that_is_gone_is_told_of(wire: Wire) -> None:
    wire.connection.cut()
    await wire.running
    assert wire.protocol.told[-1] == ("lost", ConnectionResetError)


async def test_a_protocol_s_mistake_costs_its_own_connection(wire: Wire) -> None:
    wire.protocol.fails = True
    await wire.near.write(b"boom")
    await wire.running
    assert wire.protocol.told[-1] == ("lost", ConnectionAbortedError)


async def test_its_protocol_is_told_however_often_it_is_cancelled(wire: Wire) -> None:
    for _ in range(3):
        wire.running.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await wire.running
    assert wire.protocol.told[-1] == ("lost", type(None))


async def test_what_was_finished_arrives_whatever_becomes_of_the_rest(wire: Wire) -> None:
    wire.protocol.transport.write(b"all of it")
    wire.protocol.transport.write_eof()
    await settle()
    wire.protocol.transport.abort()
    await wire.running
    assert [await wire.near.read(), await wire.near.read()] == [b"all of it", b""]


async def test_cancelled_it_is_broken_off(wire: Wire) -> None:
    wire.running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await wire.running
    assert wire.protocol.told[-1] == ("lost", type(None))
    with pytest.raises(Unavailable):
        await wire.near.read()

"""What only the real iroh adapter shows."""

import asyncio
import os
import subprocess
import sys

import pytest

from mvm_ci.adapters.iroh import IrohTransport, patch
from mvm_ci.adapters.iroh.failures import parse_close
from mvm_ci.domain.errors import Misconfigured, Unavailable

KEY = b"\x01" * 32


def test_the_patch_is_still_needed() -> None:
    """Fails once iroh's bindings copy in bulk: then delete adapters/iroh/patch.py, its call and this test."""
    check = "import sys; from mvm_ci.adapters.iroh import patch; sys.exit(0 if patch.needed() else 3)"
    done = subprocess.run([sys.executable, "-c", check], check=False, timeout=60)
    assert done.returncode == 0, "iroh no longer needs the patch: remove adapters/iroh/patch.py and this test"


def test_the_patch_replaces_the_loop_once() -> None:
    IrohTransport()
    assert not patch.needed()
    patch.apply()


@pytest.mark.parametrize(
    "address", ["", "localhost:1", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "127.0.0.1:-1", "1.2.3:4"]
)
async def test_what_is_no_address_says_so(address: str) -> None:
    with pytest.raises(Misconfigured, match="not a UDP address"):
        await IrohTransport().bind(secret_key=KEY, address=address, alpns=[b"a"])


async def test_an_address_of_another_machine_says_so() -> None:
    with pytest.raises(Misconfigured, match=r"cannot listen on 203\.0\.113\.9:0") as caught:
        await IrohTransport().bind(secret_key=KEY, address="203.0.113.9:0", alpns=[b"a"])
    assert ".rs" not in str(caught.value)


async def test_a_key_of_the_wrong_length_is_refused_without_showing_it() -> None:
    with pytest.raises(Misconfigured, match="32 bytes") as caught:
        await IrohTransport().bind(secret_key=b"hunter2", address="127.0.0.1:0", alpns=[b"a"])
    assert "hunter2" not in str(caught.value)


async def test_a_loopback_endpoint_opens_nothing_to_the_network() -> None:
    endpoint = await IrohTransport().bind(secret_key=KEY, address="127.0.0.1:0", alpns=[b"a"])
    try:
        inner = endpoint._endpoint
        assert inner is not None
        assert all(bound.startswith(("127.0.0.1:", "[::1]:")) for bound in inner.bound_sockets())
    finally:
        await endpoint.close()


async def test_an_endpoint_on_all_addresses_puts_reachable_ones_into_its_ticket() -> None:
    transport = IrohTransport()
    server = await transport.bind(secret_key=KEY, address="0.0.0.0:0", alpns=[b"a"])
    client = await transport.bind(secret_key=b"\x02" * 32, address="0.0.0.0:0", alpns=[b"a"])
    try:
        assert all(not address.startswith("0.0.0.0") for address in server._reachable(server._opened()))
        accepting = asyncio.create_task(server.accept())
        connection = await client.connect(server.ticket())
        assert connection.peer == server.id
        await accepting
    finally:
        await client.close()
        await server.close()


async def test_failed_handshakes_are_counted_and_the_next_caller_gets_through() -> None:
    transport = IrohTransport()
    server = await transport.bind(secret_key=KEY, address="127.0.0.1:0", alpns=[b"ours"])
    stranger = await transport.bind(secret_key=b"\x02" * 32, address="127.0.0.1:0", alpns=[b"theirs"])
    friend = await transport.bind(secret_key=b"\x03" * 32, address="127.0.0.1:0", alpns=[b"ours"])
    try:
        for _ in range(3):
            with pytest.raises(Unavailable):
                await stranger.connect(server.ticket())
        accepting = asyncio.create_task(server.accept())
        near = await friend.connect(server.ticket())
        assert (await accepting).peer == friend.id
        assert near.peer == server.id
        assert server.failed_handshakes == 3
    finally:
        for endpoint in (stranger, friend, server):
            await endpoint.close()


async def test_a_cancelled_read_gives_the_stream_up_but_not_the_connection() -> None:
    transport = IrohTransport()
    server = await transport.bind(secret_key=KEY, address="127.0.0.1:0", alpns=[b"a"])
    client = await transport.bind(secret_key=b"\x02" * 32, address="127.0.0.1:0", alpns=[b"a"])
    try:
        accepting = asyncio.create_task(server.accept())
        near = await client.connect(server.ticket())
        far = await accepting
        stream = await near.open()
        await stream.write(b"x")
        reading = asyncio.create_task(stream.read())
        await (await far.accept()).read()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        with pytest.raises(Unavailable, match="given up"):
            await stream.read()
        again = await near.open()
        await again.write(b"y")
        assert await (await far.accept()).read() == b"y"
    finally:
        await client.close()
        await server.close()


async def test_whoever_reads_learns_why_the_other_side_hung_up() -> None:
    transport = IrohTransport()
    server = await transport.bind(secret_key=KEY, address="127.0.0.1:0", alpns=[b"a"])
    client = await transport.bind(secret_key=b"\x02" * 32, address="127.0.0.1:0", alpns=[b"a"])
    try:
        there, here = await asyncio.gather(server.accept(), client.connect(server.ticket()))
        stream = await here.open()
        await there.close(403, 'it\'s "over": ask again')
        told = r"""closed the connection: it's "over": ask again \(403\)"""
        with pytest.raises(Unavailable, match=told):
            await stream.read()
    finally:
        await client.close()
        await server.close()


async def test_a_ticket_of_another_key_says_so() -> None:
    transport = IrohTransport()
    server = await transport.bind(secret_key=KEY, address="127.0.0.1:0", alpns=[b"a"])
    client = await transport.bind(secret_key=b"\x02" * 32, address="127.0.0.1:0", alpns=[b"a"])
    ticket = server.ticket()
    await server.close()
    other = await transport.bind(secret_key=b"\x03" * 32, address=server.address, alpns=[b"a"])
    try:
        with pytest.raises(Unavailable, match=f"who answers at {server.address} has another key"):
            await client.connect(ticket)
    finally:
        await client.close()
        await other.close()


def test_close_reasons_are_read_whatever_they_contain() -> None:
    assert parse_close("closed by peer: 0") == (0, "")
    assert parse_close("closed by peer: a (code 3) b (code 403)") == (403, "a (code 3) b")
    assert parse_close("closed by peer: two\nlines (code 1)") == (1, "two\nlines")
    for text in (None, "", "closed", "timed out", "aborted by peer: x"):
        assert parse_close(text) is None


async def test_a_module_arrives_whole() -> None:
    transport = IrohTransport()
    server = await transport.bind(secret_key=KEY, address="127.0.0.1:0", alpns=[b"a"])
    client = await transport.bind(secret_key=b"\x02" * 32, address="127.0.0.1:0", alpns=[b"a"])
    try:
        accepting = asyncio.create_task(server.accept())
        near = await client.connect(server.ticket())
        far = await accepting
        stream = await near.open()
        data = os.urandom(32 << 20)

        async def send() -> None:
            await stream.write(data)
            await stream.finish()

        sending = asyncio.create_task(send())
        other = await far.accept()
        got = bytearray()
        while piece := await other.read():
            got += piece
        await sending
        assert got == data
    finally:
        await client.close()
        await server.close()

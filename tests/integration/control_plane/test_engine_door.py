"""The way to the control plane's own engine: for workers that have a session and no engine of their own."""

import asyncio

import httpx
import pytest

from mvm_ci.control_plane import links
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.grant import PeerRole
from mvm_ci.ports.transport import Connection, Stream
from mvm_ci.wire import http
from mvm_ci.wire import messages as m
from tests.integration.control_plane.conftest import Stand
from tests.integration.control_plane.scripted_worker import ScriptedWorker
from tests.integration.control_plane.test_engine_grants import peer

PATIENCE_S = 10.0


async def serve(stream: Stream, address: str) -> None:
    """An engine that says who calls."""
    await stream.write(address.encode())
    await stream.finish()


@pytest.fixture
def door(stand: Stand) -> Stand:
    """A control plane with an engine."""
    stand.plane.links.door.serve = serve
    return stand


async def dialled(stand: Stand, worker: ScriptedWorker, protocol: bytes = http.ENGINE_ALPN) -> Connection:
    return await worker.endpoint.connect(stand.endpoint.ticket(), 5.0, protocol)


async def asked(connection: Connection) -> bytes:
    """What one stream is answered; raises ``Unavailable`` if it is broken off."""
    async with asyncio.timeout(PATIENCE_S):
        stream = await connection.open()
        await stream.write(b"?")
        return await stream.read()


async def refused(connection: Connection) -> str:
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(Unavailable):
            await connection.accept()
    code, reason = connection.closed_by_peer() or (None, "")
    assert code == m.CLOSE_REFUSED
    return reason


async def test_a_follower_is_served_and_named_by_its_key(door: Stand) -> None:
    follower = await peer(door, PeerRole.FOLLOWER)
    await follower.welcome()
    connection = await dialled(door, follower)
    assert await asked(connection) == f"peer {follower.endpoint.id}".encode()


@pytest.mark.parametrize("role", [PeerRole.WORKER, PeerRole.ENGINE, None])
async def test_nobody_else_is(door: Stand, role: PeerRole | None) -> None:
    other = await peer(door, role or PeerRole.FOLLOWER)
    if role is not None:
        await other.welcome()
    assert await refused(await dialled(door, other)) == (
        "the engine is for workers that have a session and no engine of their own"
    )


async def test_without_an_engine_it_is_said_how_to_get_one(stand: Stand) -> None:
    follower = await peer(stand, PeerRole.FOLLOWER)
    await follower.welcome()
    assert await refused(await dialled(stand, follower)) == (
        "there is no engine here; start the control plane with --engine embedded"
    )


async def test_a_follower_that_is_revoked_is_not_served_on_what_it_had_opened(
    door: Stand, api: httpx.AsyncClient
) -> None:
    follower = await peer(door, PeerRole.FOLLOWER)
    await follower.welcome()
    connection = await dialled(door, follower)
    await asked(connection)
    assert (await api.post(f"/v1/workers/{follower.endpoint.id}/revoke")).status_code == 200
    with pytest.raises(Unavailable):
        await asked(connection)


async def test_callers_of_the_api_leave_room_for_followers(
    door: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "MAX_CALLERS", 1)
    stranger, follower = await peer(door, PeerRole.WORKER), await peer(door, PeerRole.FOLLOWER)
    await follower.welcome()
    calling = await dialled(door, stranger, http.ALPN)
    assert calling.path() is not None
    first, second = await dialled(door, follower), await dialled(door, follower)
    assert await asked(first)
    assert await asked(second)


async def test_a_follower_has_so_many_connections(door: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "MAX_OF_PEER", 1)
    follower = await peer(door, PeerRole.FOLLOWER)
    await follower.welcome()
    first = await dialled(door, follower)
    await asked(first)
    second = await dialled(door, follower)
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(Unavailable):
            await second.accept()
    assert await asked(first)

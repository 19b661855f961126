"""What holds jobs back, as the API shows it."""

import asyncio
from typing import Any

import httpx
import pytest

from mvm_ci.domain.role import Role
from tests.integration.control_plane.conftest import TEAM, Stand, submit
from tests.integration.control_plane.test_options import ready

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)


async def limits(api: httpx.AsyncClient) -> dict[str, Any]:
    answer = await api.get("/v1/limits")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def show(api: httpx.AsyncClient, *keys: dict[str, Any]) -> None:
    """Waits until exactly ``keys`` are shown: that a lane is empty is known when it was looked at again."""
    async with asyncio.timeout(30):
        while await limits(api) != {"keys": list(keys)}:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)


async def test_keys_are_shown_while_jobs_hold_or_want_them(stand: Stand, api: httpx.AsyncClient) -> None:
    assert await limits(api) == {"keys": []}
    worker = await ready(stand)
    _, last = await submit(api, 2, concurrency={"key": "deploy", "limit": 1})
    (item,) = await worker.assigned()
    assert await limits(api) == {"keys": [{"key": "deploy", "running": 1, "waiting": True, "limit": 1}]}
    await worker.end(item, credit=1)
    (item,) = await worker.assigned()
    await show(api, {"key": "deploy", "running": 1, "waiting": False, "limit": 1})
    await worker.end(item, credit=1)
    assert (await api.get(f"/v1/jobs/{last['id']}/wait")).json()["state"] == "completed"
    await show(api)


async def test_a_rate_shows_when_the_next_may_begin(stand: Stand, api: httpx.AsyncClient) -> None:
    await stand.clock.advance(60_000)
    worker = await ready(stand)
    await submit(api, 2, concurrency={"key": "calls", "limit": None, "starts": 1, "per_s": 60})
    await worker.assigned()
    (shown,) = (await limits(api))["keys"]
    next_ms = shown.pop("next_ms")
    assert shown == {"key": "calls", "running": 1, "waiting": True, "starts": 1, "per_s": 60.0}
    assert 0 < next_ms - stand.clock.now_ms() <= 60_000


async def test_a_namespace_sees_its_own(stand: Stand, api: httpx.AsyncClient) -> None:
    await ready(stand)
    await submit(api, 1, concurrency={"key": "deploy"})
    async with stand.client(Role.VIEWER, TEAM) as team:
        assert await limits(team) == {"keys": []}


async def test_the_quota_of_running_jobs_is_shown(stand: Stand, api: httpx.AsyncClient) -> None:
    quota = {"max_running": 2}
    assert (await api.put("/v1/namespaces/default/quota", json=quota)).status_code == 200
    worker = await ready(stand)
    await submit(api, 3)
    await worker.assigned(2)
    assert await limits(api) == {"keys": [], "running": 2, "max_running": 2}


async def test_a_restart_keeps_the_rule_of_a_key(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await ready(stand)
    await submit(api, 1, concurrency={"key": "deploy", "limit": 3})
    await worker.assigned()
    await stand.stop()
    await stand.start()
    async with stand.client(Role.VIEWER) as after:
        assert await limits(after) == {
            "keys": [{"key": "deploy", "running": 1, "waiting": False, "limit": 3}]
        }

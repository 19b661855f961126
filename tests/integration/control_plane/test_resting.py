"""Workers that hold nothing: they may be silent for long, until something hangs on them."""

from typing import Any

import httpx
import pytest

from mvm_ci.domain.job import Placed
from mvm_ci.testing.clock import settle
from mvm_ci.wire import messages as m
from tests.integration.control_plane.conftest import Stand, submit
from tests.integration.control_plane.scripted_worker import SECOND, ScriptedWorker

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)
LEASE_MS, BEAT_MS, REST_MS = 15_000, 5_000, 120_000


async def resting(stand: Stand, credit: int = 1) -> ScriptedWorker:
    """A worker that was told that it may rest."""
    worker = await stand.worker()
    await worker.welcome(credit=credit)
    assert (await worker.beat()).rest_ms == REST_MS
    return worker


async def view_of(api: httpx.AsyncClient, worker: ScriptedWorker) -> Any:
    return (await api.get(f"/v1/workers/{worker.endpoint.id}")).json()


async def test_a_worker_that_holds_nothing_may_rest_and_keeps_its_session(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker = await resting(stand)
    for _ in range(3):
        await stand.clock.advance(REST_MS + LEASE_MS - 1)
        assert (await view_of(api, worker))["connected"] is True
        assert (await worker.beat()).rest_ms == REST_MS
    await stand.clock.advance(REST_MS + LEASE_MS)
    assert await worker.closed() == (m.CLOSE_SILENT, "the lease has run out")
    assert (await view_of(api, worker))["connected"] is False


async def test_a_worker_that_holds_a_job_may_not_rest_until_it_has_ended(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker = await resting(stand)
    await submit(api)
    (item,) = await worker.assigned()
    assert (await worker.beat()).rest_ms == 0
    await worker.send(m.Started((item.placed,)))
    assert (await worker.beat()).rest_ms == 0
    await worker.end(item)
    assert (await worker.beat()).rest_ms == REST_MS


async def test_a_dead_worker_that_rested_is_noticed_one_lease_after_it_was_given_a_job(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker = await resting(stand)
    worker.connection.other.lose_peer()  # type: ignore[attr-defined] # a fault of the network in memory
    await stand.clock.advance(REST_MS // 2)
    await submit(api)
    other = await stand.worker()
    await other.welcome(credit=1)
    await other.beat()
    await stand.clock.advance(LEASE_MS - 1)
    assert (await view_of(api, worker))["connected"] is True
    await stand.clock.advance(1)
    (again,) = await other.assigned()
    assert again.placed == Placed(again.placed.job, 2)
    assert (await view_of(api, worker))["connected"] is False


async def test_a_worker_that_rested_and_lives_says_so_and_goes_on(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker = await resting(stand)
    await stand.clock.advance(REST_MS // 2)
    (job,) = await submit(api)
    (item,) = await worker.assigned()
    for _ in range(6):
        await worker.beat()
        await stand.clock.advance(BEAT_MS)
    await worker.end(item)
    assert (await api.get(f"/v1/jobs/{job['id']}")).json()["state"] == "completed"


async def test_a_job_of_the_backlog_rouses_a_resting_worker_as_well(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker = await resting(stand, credit=0)
    await submit(api)
    await worker.send(m.Credit(1))
    await worker.assigned()
    await stand.clock.advance(LEASE_MS)
    assert (await worker.closed())[0] == m.CLOSE_SILENT


async def test_a_resting_worker_whose_connection_is_gone_has_one_lease_to_come_back(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker = await resting(stand)
    worker.connection.cut()  # type: ignore[attr-defined]
    await settle()
    await stand.clock.advance(LEASE_MS - 1)
    assert (await view_of(api, worker))["connected"] is True
    await stand.clock.advance(1)
    assert (await view_of(api, worker))["connected"] is False
    await worker.welcome(incarnation=SECOND)


async def test_a_worker_without_runners_may_not_rest(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await resting(stand)
    worker.runners = 0
    for _ in range(0, 120_000, BEAT_MS):
        assert (await worker.beat()).rest_ms == 0
        await stand.clock.advance(BEAT_MS)
    await worker.beat()
    assert (await view_of(api, worker))["stalled"] is True
    assert (await worker.beat()).rest_ms == 0
    worker.runners = 1
    await worker.beat()
    await api.post(f"/v1/workers/{worker.endpoint.id}/resume")
    assert (await worker.beat()).rest_ms == REST_MS


async def test_a_new_connection_does_not_inherit_the_rest_of_the_old_one(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker = await resting(stand)
    await worker.welcome()
    await stand.clock.advance(LEASE_MS)
    assert (await view_of(api, worker))["connected"] is False


async def test_a_control_plane_that_stood_still_shortens_no_rest(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker = await resting(stand)
    stand.clock.jump(60_000)
    await stand.clock.advance(0)
    await stand.clock.advance(REST_MS - 60_000 + LEASE_MS - 1)
    assert (await view_of(api, worker))["connected"] is True
    await worker.beat()

"""Rates of concurrency keys over restarts of the control plane."""

from typing import Any

import httpx
import pytest

from mvm_ci.domain.errors import Unavailable
from mvm_ci.testing.clock import settle
from tests.integration.control_plane.conftest import Stand, submit
from tests.integration.control_plane.scripted_worker import ScriptedWorker
from tests.integration.control_plane.test_options import given, ids, ready, reasons, show

DAY = 24 * 3_600_000
DAILY: dict[str, Any] = {"key": "report", "limit": None, "starts": 1, "per_s": 86_400}

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)


async def restart(stand: Stand) -> ScriptedWorker:
    await stand.stop()
    await stand.start()
    return await ready(stand)


async def test_a_daily_job_runs_each_day_however_often_there_is_a_restart(stand: Stand) -> None:
    for _ in range(3):
        worker = await restart(stand)
        async with stand.client() as api:
            first, second = await submit(api, 2, concurrency=DAILY)
            assert await given(worker) == ids(first)
            assert await reasons(api, second) == ["rate-limit"]
            assert (await api.post(f"/v1/jobs/{second['id']}/cancel")).status_code == 200
        for _ in range(4):
            stand.clock.jump(DAY // 4)
            await restart(stand)


async def test_a_restart_gives_a_rate_no_second_helping(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await ready(stand)
    first, second, third = await submit(api, 3, concurrency={**DAILY, "starts": 2})
    assert await given(worker, 2) == ids(first, second)
    worker = await restart(stand)
    async with stand.client() as after:
        assert await reasons(after, third) == ["rate-limit"]
        stand.clock.jump(DAY // 2 - 1)
    worker = await restart(stand)
    async with stand.client() as after:
        assert (await show(after, third))["state"] == "pending"
        await stand.clock.advance(1)
        assert await given(worker) == ids(third)
        # What was claimed out of the backlog counts as what was placed at once.
        (fourth,) = await submit(after, concurrency={**DAILY, "starts": 2})
    worker = await restart(stand)
    async with stand.client() as after:
        assert await reasons(after, fourth) == ["rate-limit"]
        assert (await show(after, fourth))["state"] == "pending"


async def test_jobs_of_a_backlog_take_no_more_from_a_rate_than_they_are(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    rate = {**DAILY, "starts": 5}
    (first,) = await submit(api, concurrency=rate)
    worker = await ready(stand, credit=64)
    assert await given(worker) == ids(first)
    await restart(stand)
    async with stand.client() as after:
        more = await submit(after, 5, concurrency=rate)
        await settle()
        states = [(await show(after, job))["state"] for job in more]
    assert states.count("pending") == 1


async def test_starts_that_could_not_be_stored_are_no_starts_after_a_restart(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ready(stand)

    def fail(*_: object) -> None:
        raise Unavailable("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(stand.queue, "submit", fail)
        answer = await api.post(
            "/v1/jobs", json={"jobs": [{"module": "a" * 64, "input": None, "concurrency": DAILY}]}
        )
        assert answer.status_code == 503
    assert await stand.queue.levels(0) == []
    worker = await restart(stand)
    async with stand.client() as after:
        (job,) = await submit(after, concurrency=DAILY)
        assert await given(worker) == ids(job)

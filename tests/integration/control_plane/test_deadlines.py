"""By when jobs must have ended, over the real control plane, with workers that a test scripts."""

import asyncio
from typing import Any

import httpx
import pytest

from mvm_ci.domain.ids import parse_job_id
from mvm_ci.domain.job import Placed
from mvm_ci.domain.mail import NEVER_MS
from mvm_ci.domain.outcome import (
    OVERDUE,
    Continued,
    Failed,
    Failure,
    FailureKind,
    Outcome,
    Released,
    Suspended,
)
from mvm_ci.testing.clock import settle
from mvm_ci.wire import messages as m
from tests.integration.control_plane.conftest import MODULE, Stand, submit
from tests.integration.control_plane.families import NOWHERE, children, ended, ready, running, seen, state
from tests.integration.control_plane.scripted_worker import ScriptedWorker

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)
FAILS = Failed(Failure(kind=FailureKind.ERROR, message="no"))


async def failure(api: httpx.AsyncClient, job: str) -> str:
    async with asyncio.timeout(10):
        while await state(api, job) != "failed":  # a paused job does not end a wait
            await settle()
    kind: str = (await seen(api, job))["failure"]["kind"]
    return kind


async def pass_by(stand: Stand, worker: ScriptedWorker, ms: int) -> None:
    """Time passes; the worker stays alive."""
    for _ in range(ms // 5_000):
        await stand.clock.advance(5_000)
        await worker.beat()
    await stand.clock.advance(ms % 5_000)


@pytest.mark.parametrize("fields", [{}, {"labels": NOWHERE}, {"start_within_s": 60}])
async def test_a_job_that_no_worker_has_fails_in_time(
    stand: Stand, api: httpx.AsyncClient, fields: dict[str, Any]
) -> None:
    (job,) = await submit(api, deadline_s=10, **fields)
    (follower,) = await submit(api, after=[{"job": job["id"]}])
    view = await seen(api, job["id"])
    assert view["deadline_ms"] == stand.clock.now_ms() + 10_000
    reasons = (await api.get(f"/v1/jobs/{job['id']}/explain")).json()["reasons"]
    assert reasons[-1]["code"] == "deadline"
    await stand.clock.advance(9_999)
    assert await state(api, job["id"]) == "pending"
    await stand.clock.advance(1)
    assert await failure(api, job["id"]) == "deadline"
    assert await ended(api, follower["id"]) == "cancelled"


async def test_it_counts_from_when_the_job_is_to_run(stand: Stand, api: httpx.AsyncClient) -> None:
    run_at = stand.clock.now_ms() + 60_000
    (job,) = await submit(api, run_at_ms=run_at, deadline_s=10)
    assert (await seen(api, job["id"]))["deadline_ms"] == run_at + 10_000


@pytest.mark.parametrize(
    "outcome", [Suspended(NEVER_MS, ("message:",)), Suspended(1 << 42), Continued(b"1"), Released()]
)
async def test_a_job_that_left_its_worker_fails_in_time(
    stand: Stand, api: httpx.AsyncClient, outcome: Outcome
) -> None:
    worker, item, job = await running(stand, api, deadline_s=10)
    await worker.end(item, outcome=outcome)
    await stand.clock.advance(10_000)
    assert await failure(api, job) == "deadline"


async def test_a_paused_job_fails_in_time(stand: Stand, api: httpx.AsyncClient) -> None:
    (job,) = await submit(api, deadline_s=10)
    await api.post(f"/v1/jobs/{job['id']}/pause")
    await stand.clock.advance(10_000)
    assert await failure(api, job["id"]) == "deadline"


async def test_a_worker_is_told_how_much_time_is_left(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await ready(stand, 1)
    (job,) = await submit(api, deadline_s=10)
    (item,) = await worker.assigned()
    assert item.left_ms == 10_000
    await stand.clock.advance(4_000)
    await worker.end(item, outcome=Released(), credit=1)
    (again,) = await worker.assigned()
    assert (again.placed.epoch, again.left_ms) == (2, 6_000)
    await worker.end(again, outcome=Failed(OVERDUE))
    assert await failure(api, job["id"]) == "deadline"
    (other,) = await submit(api)
    await worker.send(m.Credit(1))
    (item,) = await worker.assigned()
    assert (item.placed.job, item.left_ms) == (parse_job_id(other["id"]), m.NO_DEADLINE)


async def test_a_job_with_attempts_left_is_not_tried_again_beyond_it(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    fields: dict[str, Any] = {"max_attempts": 5, "deadline_s": 10, "backoff": {"base_s": 60}}
    worker, item, job = await running(stand, api, **fields)
    await worker.end(item, outcome=FAILS)
    assert await state(api, job) == "scheduled"
    await stand.clock.advance(10_000)
    assert await failure(api, job) == "deadline"
    worker, item, job = await running(stand, api, **fields)
    await worker.end(item, outcome=Failed(OVERDUE))
    assert await failure(api, job) == "deadline"


@pytest.mark.parametrize("outcome", [Suspended(1 << 42, ("message:",)), Released(), FAILS])
async def test_what_comes_back_from_a_worker_late_fails_at_once(
    stand: Stand, api: httpx.AsyncClient, outcome: Outcome
) -> None:
    """A worker that did not stop it in time, for instance because it was cut off."""
    worker, item, job = await running(stand, api, deadline_s=10, max_attempts=2)
    await pass_by(stand, worker, 20_000)
    assert await state(api, job) in {"claimed", "in_progress"}
    await worker.end(item, outcome=outcome)
    assert await failure(api, job) == "deadline"


async def test_a_job_whose_worker_is_lost_late_fails_at_once(stand: Stand, api: httpx.AsyncClient) -> None:
    _, _, job = await running(stand, api, deadline_s=10)
    await stand.clock.advance(30_000)
    assert await failure(api, job) == "deadline"


async def test_a_result_that_comes_late_counts(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, job = await running(stand, api, deadline_s=10)
    await pass_by(stand, worker, 20_000)
    await worker.end(item)
    assert await state(api, job) == "completed"


async def test_a_restart_forgets_no_deadline(stand: Stand, api: httpx.AsyncClient) -> None:
    (waiting,) = await submit(api, deadline_s=10, labels=NOWHERE)
    worker, item, at_work = await running(stand, api, deadline_s=10)
    await stand.stop()
    stand.clock.jump(11_000)
    await stand.start()
    async with stand.client() as client:
        assert await failure(client, waiting["id"]) == "deadline"
        await worker.welcome(running=(item.placed,))
        assert await state(client, at_work) in {"claimed", "in_progress"}
        await worker.end(item, outcome=Released())
        assert await failure(client, at_work) == "deadline"


async def test_children_have_their_parents_deadline_or_an_earlier_one(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, item, _ = await running(stand, api, deadline_s=60)
    now = stand.clock.now_ms()
    expected = [(None, 60_000), (30, 30_000), (90, 60_000)]
    for call, (own, left) in enumerate(expected):
        fields = {} if own is None else {"deadline_s": own}
        answer = await worker.ask(
            item.placed, "child.start", children(1, labels=NOWHERE, **fields), call=call
        )
        view = await seen(api, answer["ok"]["jobs"][0])
        assert view["deadline_ms"] == now + left
    free, placed, _ = await running(stand, api)
    answer = await free.ask(placed.placed, "child.start", children(1, labels=NOWHERE))
    assert "deadline_ms" not in await seen(api, answer["ok"]["jobs"][0])


async def test_a_job_that_a_person_tries_again_has_no_deadline(stand: Stand, api: httpx.AsyncClient) -> None:
    (job,) = await submit(api, deadline_s=10)
    await stand.clock.advance(10_000)
    assert await failure(api, job["id"]) == "deadline"
    await api.post(f"/v1/jobs/{job['id']}/retry")
    await stand.clock.advance(60_000)
    assert await state(api, job["id"]) == "pending"
    worker = await ready(stand, 1)
    (item,) = await worker.assigned()
    assert (item.placed, item.left_ms) == (Placed(parse_job_id(job["id"]), 1), m.NO_DEADLINE)


@pytest.mark.parametrize("deadline_s", [0, -1, 1e12])
async def test_what_is_no_deadline(stand: Stand, api: httpx.AsyncClient, deadline_s: float) -> None:
    job = {"module": MODULE, "deadline_s": deadline_s}
    answer = await api.post("/v1/jobs", json={"jobs": [job]})
    assert (answer.status_code, "jobs[0].deadline_s" in answer.json()["detail"]) == (400, True)


async def test_those_that_ended_are_not_remembered(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, _ = await running(stand, api, deadline_s=10)
    (cancelled,) = await submit(api, deadline_s=10, labels=NOWHERE)
    assert len(stand.plane._overdue._deadlines) == 2
    await worker.end(item)
    await api.post(f"/v1/jobs/{cancelled['id']}/cancel")
    await settle()
    assert stand.plane._overdue._deadlines == {}

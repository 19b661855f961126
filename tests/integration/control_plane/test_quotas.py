"""Quotas of namespaces over the real API, with workers that a test scripts."""

from typing import Any

import httpx
import pytest

from mvm_ci.domain.ids import parse_job_id
from mvm_ci.domain.outcome import Suspended
from mvm_ci.domain.role import Role
from mvm_ci.lifecycle.stored_bytes import COUNT_MS
from mvm_ci.testing.clock import settle
from mvm_ci.wire import messages as m
from tests.integration.control_plane.conftest import TEAM, Stand, jobs, submit
from tests.integration.control_plane.scripted_worker import FIRST, SECOND, ScriptedWorker

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)
QUOTA = "/v1/namespaces/default/quota"


async def ready(stand: Stand, credit: int = 9, **hello: Any) -> ScriptedWorker:
    worker = await stand.worker()
    await worker.welcome(credit=credit, **hello)
    await worker.beat()
    return worker


async def limit(api: httpx.AsyncClient, **quota: int) -> None:
    answer = await api.put(QUOTA, json=quota)
    assert answer.status_code == 200, answer.text


async def nothing_more(worker: ScriptedWorker) -> None:
    """No further job is on its way: the answer to a heartbeat would come after it."""
    await settle()
    await worker.beat()
    assert not [message for message in worker.received if isinstance(message, m.Assign)]


async def reasons(api: httpx.AsyncClient, job: dict[str, Any]) -> list[str]:
    answer = await api.get(f"/v1/jobs/{job['id']}/explain")
    return [reason["code"] for reason in answer.json()["reasons"]]


# -------------------------------------------------------------------- running jobs


async def test_no_more_than_the_quota_run_and_raising_it_lets_others_go_on(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    await limit(api, max_running=2)
    worker = await ready(stand)
    made = await submit(api, 5)
    first = await worker.assigned(2)
    await nothing_more(worker)
    assert "namespace-quota" in await reasons(api, made[-1])
    await worker.end(first[0])
    third = await worker.assigned(1)
    await nothing_more(worker)
    await limit(api, max_running=3)
    fourth = await worker.assigned(1)
    await nothing_more(worker)
    await limit(api)
    fifth = await worker.assigned(1)
    got = [item.placed.job for item in (*first, *third, *fourth, *fifth)]
    assert sorted(got) == sorted(parse_job_id(job["id"]) for job in made)


async def test_a_quota_that_is_set_while_jobs_run_counts_them(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await ready(stand)
    await submit(api, 3)
    running = await worker.assigned(3)
    await limit(api, max_running=2)
    (late,) = await submit(api, 1)
    await nothing_more(worker)
    assert await reasons(api, late) == ["namespace-quota"]
    await worker.end(running[0])
    await nothing_more(worker)
    await worker.end(running[1])
    (item,) = await worker.assigned(1)
    assert item.placed.job == parse_job_id(late["id"])


async def test_what_runs_over_a_restart_counts(stand: Stand, api: httpx.AsyncClient) -> None:
    await limit(api, max_running=1)
    worker = await ready(stand)
    await submit(api, 2)
    await worker.assigned(1)
    await stand.stop()
    await stand.start()
    other = await ready(stand)
    await nothing_more(other)


async def test_a_job_that_sleeps_makes_room(stand: Stand, api: httpx.AsyncClient) -> None:
    await limit(api, max_running=1)
    worker = await ready(stand)
    await submit(api, 2)
    (item,) = await worker.assigned(1)
    await worker.end(item, outcome=Suspended(stand.clock.now_ms() + 60_000))
    (other,) = await worker.assigned(1)
    assert other.placed.job != item.placed.job


async def test_what_a_lost_worker_had_makes_room(stand: Stand, api: httpx.AsyncClient) -> None:
    await limit(api, max_running=2)
    lost = await ready(stand)
    await submit(api, 3)
    had = {item.placed.job for item in await lost.assigned(2)}
    await lost.welcome(incarnation=SECOND, previous=FIRST, previous_over=True)
    other = await ready(stand)
    assert {item.placed.job for item in await other.assigned(2)} == had
    await nothing_more(other)


# -------------------------------------------------------------------- waiting jobs


async def test_a_submission_that_would_let_more_wait_than_the_quota_is_refused_whole(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    await limit(api, max_waiting=3)
    await submit(api, 2)
    answer = await api.post("/v1/jobs", json={"jobs": jobs(2)})
    assert (answer.status_code, answer.json()["code"]) == (429, "quota-exceeded")
    assert "max_waiting" in answer.text
    assert int(answer.headers["retry-after"]) > 0
    assert len((await api.get("/v1/jobs")).json()["jobs"]) == 2
    await submit(api, 1)
    worker = await ready(stand, credit=1)
    await worker.assigned(1)
    await submit(api, 1)
    async with stand.client(Role.ADMIN, TEAM) as team:
        await submit(team, 9)


# -------------------------------------------------------------------- stored bytes


async def refused(api: httpx.AsyncClient, size: int) -> bool:
    answer = await api.post("/v1/jobs", json={"jobs": jobs(1, input="x" * (size - 2))})
    if answer.status_code == 200:
        return False
    assert (answer.status_code, answer.json()["code"]) == (429, "quota-exceeded")
    assert "max_bytes" in answer.text
    assert int(answer.headers["retry-after"]) > 0
    return True


async def test_inputs_and_results_may_take_no_more_than_the_quota(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    await limit(api, max_bytes=10_000)
    assert not await refused(api, 6_000)
    assert await refused(api, 4_001)
    assert not await refused(api, 4_000)
    assert await refused(api, 2)
    (job,) = (await api.get("/v1/jobs", params={"limit": 1})).json()["jobs"]
    assert (await api.post(f"/v1/jobs/{job['id']}/cancel")).status_code == 200
    assert (await api.delete(f"/v1/jobs/{job['id']}")).status_code in {200, 204}
    # Room is seen with the next count.
    await stand.clock.advance(COUNT_MS + 1)
    assert not await refused(api, 4_000)
    # Other namespaces are not concerned.
    async with stand.client(Role.ADMIN, TEAM) as team:
        assert not await refused(team, 9_000)


async def test_a_module_that_is_larger_than_the_room_is_refused(stand: Stand, api: httpx.AsyncClient) -> None:
    module = b"\0asm\x01\0\0\0\x07\x10\x02\x03run\0\0\x06memory\x02\0"
    await limit(api, max_bytes=10)
    headers = {"content-type": "application/wasm"}
    answer = await api.post("/v1/modules", content=module, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (429, "quota-exceeded")
    await limit(api, max_bytes=len(module))
    assert (await api.post("/v1/modules", content=module, headers=headers)).status_code == 200


# -------------------------------------------------------------------- what belongs to a namespace


async def test_a_token_of_one_namespace_sees_the_numbers_of_its_jobs(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    await submit(api, 3)
    async with stand.client(Role.ADMIN, TEAM) as team:
        await submit(team, 1)
        assert (await team.get("/v1/status")).json()["jobs"] == {"pending": 1}
    assert (await api.get("/v1/status")).json()["jobs"] == {"pending": 4}


async def test_a_namespace_with_a_schedule_is_not_deleted(stand: Stand, api: httpx.AsyncClient) -> None:
    async with stand.client(Role.ADMIN, TEAM) as team:
        made = await team.put("/v1/schedules/nightly", json={"when": "@daily", "job": jobs(1)[0]})
        assert made.status_code == 200, made.text
        assert (await api.delete(f"/v1/namespaces/{TEAM}")).status_code == 409
        assert (await team.delete("/v1/schedules/nightly")).status_code in {200, 204}
    assert (await api.delete(f"/v1/namespaces/{TEAM}")).status_code == 200

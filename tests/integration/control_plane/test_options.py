"""What a submission may ask of the queue, through the API, with workers that a test scripts."""

import asyncio
from typing import Any

import httpx
import pytest

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import parse_job_id
from mvm_ci.domain.outcome import Completed, Failed, Failure, FailureKind, Stopped, Suspended
from mvm_ci.domain.segment import Segment
from mvm_ci.testing.clock import settle
from mvm_ci.wire import messages as m
from tests.integration.control_plane.conftest import MODULE, Stand, submit
from tests.integration.control_plane.scripted_worker import ScriptedWorker

ERROR = Failed(Failure(kind=FailureKind.ERROR, message="no luck"))

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)


async def ready(stand: Stand, credit: int = 4, **hello: Any) -> ScriptedWorker:
    worker = await stand.worker()
    await worker.welcome(credit=credit, **hello)
    # The answer to the heartbeat shows that the credit has arrived.
    await worker.beat()
    return worker


async def show(api: httpx.AsyncClient, job: dict[str, Any]) -> dict[str, Any]:
    answer = await api.get(f"/v1/jobs/{job['id']}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def change(api: httpx.AsyncClient, job: dict[str, Any], verb: str) -> httpx.Response:
    return await api.post(f"/v1/jobs/{job['id']}/{verb}")


async def reasons(api: httpx.AsyncClient, job: dict[str, Any]) -> list[str]:
    answer = await api.get(f"/v1/jobs/{job['id']}/explain")
    assert answer.status_code == 200, answer.text
    return [reason["code"] for reason in answer.json()["reasons"]]


def ids(*jobs: dict[str, Any]) -> list[int]:
    return [parse_job_id(job["id"]) for job in jobs]


async def given(worker: ScriptedWorker, count: int = 1) -> list[int]:
    return [item.placed.job for item in await worker.assigned(count)]


# -------------------------------------------------------------------- what goes first


async def test_a_higher_priority_overtakes_a_backlog(stand: Stand, api: httpx.AsyncClient) -> None:
    low = await submit(api, 3, priority=1)
    (high,) = await submit(api, 1, priority=9)
    assert await reasons(api, low[0]) == ["no-worker", "higher-priority"]
    worker = await ready(stand, credit=1)
    assert await given(worker) == ids(high)
    await worker.send(m.Credit(1))
    assert await given(worker) == ids(low[0])


async def test_tenants_take_turns(stand: Stand, api: httpx.AsyncClient) -> None:
    await submit(api, 50, fairness_key="big")
    small = await submit(api, 2, fairness_key="small")
    worker = await ready(stand, credit=4)
    assert set(ids(*small)) <= set(await given(worker, 4))


async def test_labels_choose_the_worker(stand: Stand, api: httpx.AsyncClient) -> None:
    plain = await ready(stand, labels={"os": "linux"})
    (job,) = await submit(api, labels={"gpu": ""})
    assert job["state"] == "pending"
    assert await reasons(api, job) == ["no-worker-with-labels"]
    # It holds nobody up.
    (other,) = await submit(api)
    assert await given(plain) == ids(other)
    able = await ready(stand, labels={"gpu": "a100"})
    assert await given(able) == ids(job)
    assert (await submit(api, labels={"gpu": ""}))[0]["state"] == "claimed"


# -------------------------------------------------------------------- times


async def test_a_job_runs_when_its_time_has_come(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await ready(stand)
    (job,) = await submit(api, run_at_ms=stand.clock.now_ms() + 10_000)
    assert job["state"] == "scheduled"
    assert await reasons(api, job) == ["run-at"]
    await stand.clock.advance(10_000)
    assert await given(worker) == ids(job)


async def test_a_job_that_nobody_takes_in_time_fails(stand: Stand, api: httpx.AsyncClient) -> None:
    (job,) = await submit(api, start_within_s=60)
    waiting = asyncio.create_task(api.get(f"/v1/jobs/{job['id']}/wait"))
    await settle()
    await stand.clock.advance(60_000)
    failed = (await waiting).json()
    assert (failed["state"], failed["failure"]["kind"]) == ("failed", "start-timeout")


async def test_only_the_failures_that_are_named_are_tried_again(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await ready(stand)
    backoff = {"base_s": 2, "kinds": ["time-limit"]}
    (job,) = await submit(api, max_attempts=3, backoff=backoff)
    (item,) = await worker.assigned()
    timed_out = Failed(Failure(kind=FailureKind.TIME, message="too long"))
    await worker.end(item, outcome=timed_out, credit=1)
    assert (await show(api, job))["state"] == "scheduled"
    assert await reasons(api, job) == ["retry"]
    await stand.clock.advance(2_000)
    (again,) = await worker.assigned()
    assert again.attempt == 2
    await worker.end(again, outcome=ERROR)
    assert (await show(api, job))["state"] == "failed"


# -------------------------------------------------------------------- keys


async def test_the_same_key_and_request_is_the_same_job(stand: Stand, api: httpx.AsyncClient) -> None:
    (first,) = await submit(api, idempotency_key="once")
    (second,) = await submit(api, idempotency_key="once")
    assert second["id"] == first["id"]
    body = {"jobs": [{"module": MODULE, "input": "other", "idempotency_key": "once"}]}
    other = await api.post("/v1/jobs", json=body)
    assert (other.status_code, other.json()["code"]) == (409, "key-reused")
    assert first["id"] in other.json()["detail"]
    twins = {"module": MODULE, "idempotency_key": "twin"}
    answer = await api.post("/v1/jobs", json={"jobs": [twins, twins]})
    assert len({job["id"] for job in answer.json()["jobs"]}) == 1
    await change(api, first, "cancel")
    assert (await api.delete(f"/v1/jobs/{first['id']}")).status_code == 200
    (anew,) = await submit(api, idempotency_key="once")
    assert anew["id"] != first["id"]


async def test_a_key_is_used_once_by_many_at_a_time(stand: Stand, api: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(submit(api, idempotency_key="once") for _ in range(20)))
    assert len({job["id"] for (job,) in answers}) == 1
    assert (await api.get("/v1/status")).json()["jobs"] == {"pending": 1}


async def test_at_most_so_many_of_a_key_run(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await ready(stand)
    first, second = await submit(api, 2, concurrency={"key": "deploy"})
    assert [first["state"], second["state"]] == ["claimed", "pending"]
    assert await reasons(api, second) == ["concurrency-key"]
    (item,) = await worker.assigned()
    # It sleeps, and holds the key all the same.
    asleep = Suspended(stand.clock.now_ms() + 10_000)
    await worker.end(item, outcome=asleep, tail=Segment(0, 1, b"x"), credit=1)
    assert await reasons(api, second) == ["concurrency-key"]
    await stand.clock.advance(10_000)
    (item,) = await worker.assigned()
    assert [item.placed.job] == ids(first)
    await worker.end(item, credit=1)
    assert await given(worker) == ids(second)


async def test_a_restart_keeps_what_a_key_holds(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await ready(stand)
    first, second = await submit(api, 2, concurrency={"key": "deploy"})
    (item,) = await worker.assigned()
    await stand.stop()
    await stand.start()
    async with stand.client() as after:
        worker = await _again(stand, worker, item)
        assert await reasons(after, second) == ["concurrency-key"]
        await worker.end(item, credit=1)
        assert await given(worker) == ids(second)
        assert (await show(after, first))["state"] == "completed"


async def _again(stand: Stand, worker: ScriptedWorker, item: m.Assignment) -> ScriptedWorker:
    back = ScriptedWorker(worker.endpoint, stand.endpoint.ticket())
    await back.welcome(credit=4, running=(item.placed,))
    await back.beat()
    return back


async def test_the_newest_of_a_key_cancels_the_older_ones(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await ready(stand)
    key = {"key": "pr-7", "excess": "cancel-older"}
    (first,) = await submit(api, concurrency=key)
    (item,) = await worker.assigned()
    (second,) = await submit(api, concurrency=key)
    (third,) = await submit(api, concurrency=key)
    stop = await worker.next(m.Stop)
    assert stop.placements == (item.placed,)
    await worker.end(item, outcome=Stopped(), credit=1)
    assert await given(worker) == ids(third)
    shown = await show(api, second)
    assert (shown["state"], shown["failure"]["kind"]) == ("cancelled", "superseded")
    assert (await show(api, first))["state"] == "cancelled"


async def test_a_rate_spreads_the_starts(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await ready(stand)
    rate = {"key": "api", "limit": None, "starts": 1, "per_s": 2}
    first, second = await submit(api, 2, concurrency=rate)
    assert [first["state"], second["state"]] == ["claimed", "pending"]
    assert await reasons(api, second) == ["rate-limit"]
    await stand.clock.advance(2_000)
    assert sorted(await given(worker, 2)) == ids(first, second)


# -------------------------------------------------------------------- dependencies


async def test_a_chain_runs_in_its_order(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await ready(stand)
    body = {
        "jobs": [
            {"module": MODULE, "name": "build"},
            {"module": MODULE, "name": "test", "after": [{"job": "#0"}]},
            {"module": MODULE, "name": "notify", "after": [{"job": "#1", "needs": "end"}]},
        ]
    }
    build, test, notify = (await api.post("/v1/jobs", json=body)).json()["jobs"]
    assert [test["state"], notify["state"]] == ["blocked", "blocked"]
    assert await reasons(api, test) == ["dependencies"]
    assert (await show(api, test))["after"] == [{"job": build["id"]}]
    (item,) = await worker.assigned()
    await worker.end(item, credit=1)
    (item,) = await worker.assigned()
    assert [item.placed.job] == ids(test)
    await worker.end(item, outcome=ERROR, credit=1)
    assert await given(worker) == ids(notify)


async def test_what_needs_a_success_is_cancelled_and_its_waiter_told(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    (build,) = await submit(api)
    (test,) = await submit(api, after=[{"job": build["id"]}])
    waiting = asyncio.create_task(api.get(f"/v1/jobs/{test['id']}/wait"))
    await settle()
    await change(api, build, "cancel")
    ended = (await waiting).json()
    assert (ended["state"], ended["failure"]["kind"]) == ("cancelled", "dependency")
    # What it waits for may have ended long before.
    (late,) = await submit(api, after=[{"job": build["id"], "needs": "end"}])
    assert await given(await ready(stand)) == ids(late)


async def test_a_dependency_must_be_there(stand: Stand, api: httpx.AsyncClient) -> None:
    for job, status in (("j0000000000001", 404), ("#0", 400), ("nonsense", 400)):
        answer = await api.post("/v1/jobs", json={"jobs": [{"module": MODULE, "after": [{"job": job}]}]})
        assert (answer.status_code, "jobs[0].after" in answer.json()["detail"]) == (status, True)


async def test_a_restart_settles_what_a_crash_cut_off(stand: Stand, api: httpx.AsyncClient) -> None:
    (build,) = await submit(api)
    (test,) = await submit(api, after=[{"job": build["id"]}])
    await stand.stop()
    # The store knows of the end, and nobody drew the conclusion.
    await stand.queue.cancel(ids(build), 0)
    await stand.start()
    async with stand.client() as after:
        await settle()
        assert (await show(after, test))["state"] == "cancelled"


# -------------------------------------------------------------------- what people do


async def test_a_running_job_is_paused_and_goes_on_from_its_journal(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker = await ready(stand)
    (job,) = await submit(api)
    (item,) = await worker.assigned()
    await worker.append(item.placed, Segment(0, 1, b"x"))
    assert (await change(api, job, "pause")).json()["change"] == "stopping"
    assert (await worker.next(m.Stop)).placements == (item.placed,)
    await worker.end(item, outcome=Stopped(), credit=1)
    assert (await show(api, job))["state"] == "paused"
    assert await reasons(api, job) == ["paused"]
    assert (await change(api, job, "resume")).json()["change"] == "done"
    (again,) = await worker.assigned()
    assert (again.placed.epoch, again.attempt, again.entries or len(again.journal)) == (2, 1, 1)
    await worker.end(again)
    answer = await change(api, job, "pause")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


async def test_a_failed_job_is_tried_again_by_hand(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await ready(stand)
    (job,) = await submit(api)
    (item,) = await worker.assigned()
    await worker.end(item, outcome=ERROR, credit=1)
    assert (await change(api, job, "retry")).json()["change"] == "done"
    (again,) = await worker.assigned()
    assert (again.attempt, again.placed.epoch) == (2, 2)
    await worker.end(again, outcome=Completed(b"1"))
    assert (await show(api, job))["state"] == "completed"
    assert (await change(api, job, "retry")).status_code == 409


async def test_a_paused_queue_gives_nothing_until_it_goes_on_also_after_a_restart(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    assert (await api.post("/v1/queues/slow/pause")).json() == {"name": "slow", "paused": True}
    (job,) = await submit(api, queue="slow")
    await stand.stop()
    await stand.start()
    async with stand.client() as after:
        worker = await ready(stand)
        assert await reasons(after, job) == ["queue-paused"]
        assert (await after.get("/v1/queues")).json() == {"queues": [{"name": "slow", "paused": True}]}
        (other,) = await submit(after)
        assert await given(worker) == ids(other)
        await after.post("/v1/queues/slow/resume")
        assert await given(worker) == ids(job)


async def test_many_jobs_are_changed_by_a_filter(stand: Stand, api: httpx.AsyncClient) -> None:
    await submit(api, 3, tags=["old"])
    kept = await submit(api, 2, metadata={"branch": "main"})
    body: dict[str, Any] = {"filter": {"tags": ["old"]}, "dry_run": True}
    dry = (await api.post("/v1/jobs/cancel", json=body)).json()
    assert (dry["counts"], len(dry["jobs"]), dry["complete"]) == ({"selected": 3}, 3, True)
    assert len((await api.get("/v1/jobs?state=pending")).json()["jobs"]) == 5
    done = (await api.post("/v1/jobs/cancel", json={**body, "dry_run": False})).json()
    assert done["counts"] == {"done": 3}
    assert (await api.post("/v1/jobs/retry", json={"filter": {"tags": ["old"]}})).json()["counts"] == {
        "done": 3
    }
    await api.post("/v1/jobs/cancel", json={"filter": {"tags": ["old"]}})
    assert (await api.post("/v1/jobs/delete", json={"filter": {}})).json()["counts"] == {"done": 3}
    listed = (await api.get("/v1/jobs?tags=branch%3Dmain")).json()["jobs"]
    assert {job["id"] for job in listed} == {job["id"] for job in kept}
    by_id = {"ids": [job["id"] for job in kept]}
    assert (await api.post("/v1/jobs/pause", json=by_id)).json()["counts"] == {"done": 2}
    assert (await api.post("/v1/jobs/resume", json=by_id)).json()["counts"] == {"done": 2}
    assert (await api.post("/v1/jobs/resume", json={})).status_code == 400


# -------------------------------------------------------------------- back-pressure


async def test_a_full_disk_refuses_jobs_and_says_when_to_come_back(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    await submit(api)
    stand.disk.free = 1 << 20
    await stand.clock.advance(1_000)
    answer = await api.post("/v1/jobs", json={"jobs": [{"module": MODULE}]})
    assert (answer.status_code, answer.json()["code"]) == (429, "disk-full")
    assert int(answer.headers["retry-after"]) > 0
    stand.disk.free = 1 << 40
    await stand.clock.advance(1_000)
    await submit(api)


async def test_a_disk_that_has_just_filled_up_is_named_too(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await submit(api)  # the disk was looked at just now

    def fail(*_: object) -> asyncio.Future[None]:
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        failed.set_exception(Unavailable("the job store failed"))
        return failed

    monkeypatch.setattr(stand.queue, "submit", fail)
    other = await api.post("/v1/jobs", json={"jobs": [{"module": MODULE}]})
    assert (other.status_code, other.json()["code"]) == (503, "unavailable")
    stand.disk.free = 1 << 20
    answer = await api.post("/v1/jobs", json={"jobs": [{"module": MODULE}]})
    assert (answer.status_code, answer.json()["code"]) == (429, "disk-full")


async def test_a_full_queue_refuses_jobs_until_some_have_ended(stand: Stand, api: httpx.AsyncClient) -> None:
    await stand.stop()
    await stand.start(max_jobs=3)
    async with stand.client() as after:
        jobs = await submit(after, 3)
        answer = await after.post("/v1/jobs", json={"jobs": [{"module": MODULE}]})
        assert (answer.status_code, answer.json()["code"]) == (429, "queue-full")
        assert answer.headers["retry-after"] == "5"
        await change(after, jobs[0], "cancel")
        await submit(after)


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"priority": 10}, "priority"),
        ({"queue": ""}, "queue"),
        ({"labels": {"GPU": ""}}, "labels"),
        ({"run_at_ms": -1}, "run_at_ms"),
        ({"start_within_s": 0}, "start_within_s"),
        ({"tags": ["a=b"]}, "tags"),
        ({"tags": [str(n) for n in range(33)]}, "tags"),
        ({"metadata": {"": "x"}}, "metadata"),
        ({"metadata": {"k": "x" * 1001}}, "metadata"),
        ({"concurrency": {"key": "k", "limit": 0}}, "concurrency.limit"),
        ({"concurrency": {"key": "k", "limit": None}}, "concurrency"),
        ({"concurrency": {"key": "k", "excess": "explode"}}, "concurrency.excess"),
        ({"backoff": {"factor": 0.5}}, "backoff.factor"),
        ({"backoff": {"kinds": ["bad-luck"]}}, "backoff.kinds"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"fairness_key": "\n"}, "fairness_key"),
    ],
)
async def test_what_cannot_be_is_refused_naming_the_field(
    stand: Stand, api: httpx.AsyncClient, fields: dict[str, Any], where: str
) -> None:
    answer = await api.post("/v1/jobs", json={"jobs": [{"module": MODULE, **fields}]})
    assert answer.status_code == 400, answer.text
    assert f"jobs[0].{where}" in answer.json()["detail"]

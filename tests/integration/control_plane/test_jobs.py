"""Jobs through the API and a worker."""

import asyncio

import httpx
import pytest

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import parse_job_id
from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import (
    Completed,
    Failed,
    Failure,
    FailureKind,
    Parked,
    Released,
    Stopped,
    Suspended,
)
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.segment import Append, Segment
from mvm_ci.testing.clock import settle
from mvm_ci.wire import messages as m
from tests.integration.control_plane.conftest import MODULE, Stand, submit
from tests.integration.control_plane.scripted_worker import ScriptedWorker

ERROR = Failed(Failure(kind=FailureKind.ERROR, message="no luck"))

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)


async def ready(stand: Stand, credit: int = 4) -> ScriptedWorker:
    worker = await stand.worker()
    await worker.welcome(credit=credit)
    # The answer to the heartbeat shows that the credit has arrived.
    await worker.beat()
    return worker


async def test_a_job_runs_and_its_caller_gets_the_result(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await ready(stand)

    async def work() -> None:
        (item,) = await worker.assigned()
        assert item.spec.input == b'{"n":0}'
        assert item.spec.allow_hosts == ("api.example.org",)
        await worker.end(item, outcome=Completed(b'{"x":[1]}'))

    (job,), _ = await asyncio.gather(submit(api, wait_s=20, name="first"), work())
    assert job["state"] == "completed"
    assert job["result"] == {"x": [1]}
    shown = (await api.get(f"/v1/jobs/{job['id']}")).json()
    assert (shown["name"], shown["module"], shown["epoch"], shown["result_size"]) == ("first", MODULE, 1, 9)
    # What a submission's wait answers is the same, less what the caller knows.
    assert job == {name: shown[name] for name in ("id", "state", "result", "result_size")}
    result = await api.get(f"/v1/jobs/{job['id']}/result")
    assert result.headers["content-type"] == "application/json"
    assert result.content == b'{"x":[1]}'
    assert len(stand.plane.services.waiters) == 0


async def test_jobs_are_claimed_as_they_are_inserted_while_a_worker_has_credit(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    await ready(stand, credit=2)
    assert [job["state"] for job in await submit(api, 3)] == ["claimed", "claimed", "pending"]


async def test_a_backlog_is_served_oldest_first_and_new_jobs_queue_behind_it(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    old = await submit(api, 3)
    worker = await ready(stand, credit=2)
    first = await worker.assigned(2)
    new = await submit(api, 1)
    assert new[0]["state"] == "pending"
    await worker.end(*first, credit=2)
    second = await worker.assigned(2)
    ids = [parse_job_id(job["id"]) for job in (*old, *new)]
    assert [item.placed.job for item in (*first, *second)] == ids


async def test_binary_results_are_shown_in_base64(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await ready(stand)
    (job,) = await submit(api)
    await worker.end(*await worker.assigned(), outcome=Completed(b"\xff\x00"))
    view = (await api.get(f"/v1/jobs/{job['id']}/wait")).json()
    assert (view["result_base64"], view["result_size"]) == ("/wA=", 2)
    result = await api.get(f"/v1/jobs/{job['id']}/result")
    assert (result.content, result.headers["content-type"]) == (b"\xff\x00", "application/octet-stream")


async def test_large_inputs_and_results_are_blobs(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await ready(stand)
    text = "x" * 5000
    answer = await api.post("/v1/jobs", json={"jobs": [{"module": MODULE, "input": text}]})
    (job,) = answer.json()["jobs"]
    (item,) = await worker.assigned()
    assert isinstance(item.spec.input, BlobRef)
    assert await stand.blobs.get(item.spec.input.digest) == f'"{text}"'.encode()
    ref = await stand.blobs.put(b'["large"]')
    await worker.end(item, outcome=Completed(ref))
    view = (await api.get(f"/v1/jobs/{job['id']}/wait")).json()
    assert (view["result_size"], "result" in view) == (9, False)
    assert (await api.get(f"/v1/jobs/{job['id']}/result")).json() == ["large"]


async def test_a_wait_ends_with_the_time(stand: Stand, api: httpx.AsyncClient) -> None:
    (job,) = await submit(api, wait_s=0.01)
    assert job["state"] == "pending"
    view = await api.get(f"/v1/jobs/{job['id']}/wait", params={"timeout_s": 0.01})
    assert view.json()["state"] == "pending"
    assert len(stand.plane.services.waiters) == 0


async def test_a_failure_is_tried_again_when_its_pause_is_over(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await ready(stand)
    (job,) = await submit(api, max_attempts=2)
    await worker.end(*await worker.assigned(), outcome=ERROR, credit=1)
    view = (await api.get(f"/v1/jobs/{job['id']}")).json()
    assert (view["state"], view["attempt"]) == ("scheduled", 2)
    assert view["wake_ms"] == stand.clock.now_ms() + 500
    await stand.clock.advance(500)
    (item,) = await worker.assigned()
    assert (item.attempt, item.placed.epoch) == (2, 2)
    await worker.end(item, outcome=ERROR)
    view = (await api.get(f"/v1/jobs/{job['id']}/wait")).json()
    assert (view["state"], view["failure"]) == ("failed", {"kind": "error", "message": "no luck"})
    assert (await api.get(f"/v1/jobs/{job['id']}/result")).status_code == 409


async def test_what_cannot_succeed_is_not_tried_again(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await ready(stand)
    (job,) = await submit(api, max_attempts=9)
    bad = Failed(Failure(kind=FailureKind.MODULE, message="no module"))
    await worker.end(*await worker.assigned(), outcome=bad)
    assert (await api.get(f"/v1/jobs/{job['id']}/wait")).json()["state"] == "failed"


async def test_a_suspended_job_wakes_on_time_with_its_journal(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await ready(stand)
    (job,) = await submit(api)
    (item,) = await worker.assigned()
    tail = Segment(0, 2, b"entries")
    wake = stand.clock.now_ms() + 60_000
    await worker.end(item, outcome=Suspended(wake), tail=tail, credit=1)
    view = (await api.get(f"/v1/jobs/{job['id']}")).json()
    assert (view["state"], view["wake_ms"], view["journal_length"]) == ("suspended", wake, 2)
    await stand.clock.advance(10_000)
    assert (await worker.beat()).number == 2
    assert not any(isinstance(message, m.Assign) for message in worker.received)
    await stand.clock.advance(10_000)
    await worker.beat()
    stand.clock.jump(39_999)
    await stand.clock.advance(1)
    (again,) = await worker.assigned()
    assert (again.placed.epoch, again.attempt) == (2, 1)
    assert (again.journal, again.entries) == ((tail,), 2)


async def test_a_parked_job_ends_a_wait(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await ready(stand)
    (job,) = await submit(api)
    reason = Failure(kind=FailureKind.NONDETERMINISM, message="entry 3")
    await worker.end(*await worker.assigned(), outcome=Parked(reason))
    view = (await api.get(f"/v1/jobs/{job['id']}/wait")).json()
    assert (view["state"], view["failure"]["kind"]) == ("paused", "nondeterminism")


async def test_a_released_job_goes_to_whoever_has_credit(stand: Stand, api: httpx.AsyncClient) -> None:
    one, other = await ready(stand, 1), await ready(stand, 0)
    await submit(api)
    await one.end(*await one.assigned(), outcome=Released())
    await other.send(m.Credit(1))
    (item,) = await other.assigned()
    assert item.placed.epoch == 2


async def test_a_stale_report_is_refused_and_counted(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await ready(stand)
    (job,) = await submit(api)
    (item,) = await worker.assigned()
    old = Placed(item.placed.job, item.placed.epoch + 1)
    await worker.send(m.Started((old,)))
    assert (await worker.next(m.Drop)).placements == (old,)
    assert (await worker.append(old, Segment(0, 1, b"x"))).results == (Append.STALE,)
    recorded = await worker.end(m.Assignment(old, 1, item.spec))
    assert recorded.placements == (old,)
    assert (await api.get("/v1/status")).json()["stale_refused"] == 3
    assert (await api.get(f"/v1/jobs/{job['id']}")).json()["state"] == "claimed"


async def test_an_end_that_does_not_fit_the_journal_fails_the_job(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker = await ready(stand)
    (job,) = await submit(api)
    await worker.end(*await worker.assigned(), tail=Segment(5, 1, b"x"))
    view = (await api.get(f"/v1/jobs/{job['id']}/wait")).json()
    assert (view["state"], view["failure"]["kind"]) == ("failed", "engine")


async def test_appends_are_answered_in_order(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await ready(stand)
    await submit(api)
    (item,) = await worker.assigned()
    await worker.send(
        m.Append((m.AppendItem(item.placed, Segment(0, 1, b"a")),)),
        m.Append(()),
        m.Append(tuple(m.AppendItem(item.placed, Segment(at, 1, b"b")) for at in (1, 9))),
    )
    answers = [(await worker.next(m.Appended)).results for _ in range(3)]
    assert answers == [(Append.DONE,), (), (Append.DONE, Append.GAP)]


async def test_cancelling(stand: Stand, api: httpx.AsyncClient) -> None:
    (waiting,) = await submit(api)
    answer = await api.post(f"/v1/jobs/{waiting['id']}/cancel")
    assert answer.json() == {"id": waiting["id"], "cancelled": "done"}
    assert (await api.post(f"/v1/jobs/{waiting['id']}/cancel")).json()["cancelled"] == "already"
    worker = await ready(stand)
    (running,) = await submit(api)
    (item,) = await worker.assigned()
    assert (await api.post(f"/v1/jobs/{running['id']}/cancel")).json()["cancelled"] == "stopping"
    assert (await worker.next(m.Stop)).placements == (item.placed,)
    await worker.end(item, outcome=Stopped())
    assert (await api.get(f"/v1/jobs/{running['id']}/wait")).json()["state"] == "cancelled"


async def test_a_job_that_is_cancelled_instead_of_suspended_ends_its_wait(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker = await ready(stand)
    (job,) = await submit(api)
    (item,) = await worker.assigned()
    await api.post(f"/v1/jobs/{job['id']}/cancel")
    waiting = asyncio.create_task(api.get(f"/v1/jobs/{job['id']}/wait"))
    while not len(stand.plane.services.waiters):
        await settle()
    await worker.end(item, outcome=Suspended(stand.clock.now_ms() + 1000))
    assert (await waiting).json()["state"] == "cancelled"


async def test_a_failed_insert_reaches_the_caller_and_takes_the_jobs_back(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker = await ready(stand)

    def fail(*_: object) -> asyncio.Future[None]:
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        failed.set_exception(Unavailable("the disk is full"))
        return failed

    stand.queue.submit = fail
    answer = await api.post("/v1/jobs", json={"jobs": [{"module": MODULE}]})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    (item,) = await worker.assigned()
    assert (await worker.next(m.Drop)).placements == (item.placed,)
    assert stand.plane.services.submitter.uncommitted == {}


async def test_listing_in_pages_by_state_and_by_prefix(stand: Stand, api: httpx.AsyncClient) -> None:
    ids = [job["id"] for job in await submit(api, 5)]
    first = (await api.get("/v1/jobs", params={"limit": 3})).json()
    assert [job["id"] for job in first["jobs"]] == ids[:1:-1]
    second = (await api.get("/v1/jobs", params={"limit": 3, "cursor": first["cursor"]})).json()
    assert [job["id"] for job in second["jobs"]] == ids[1::-1]
    assert "cursor" not in second
    await api.post(f"/v1/jobs/{ids[2]}/cancel")
    cancelled = (await api.get("/v1/jobs", params={"state": "cancelled,dead"})).json()
    assert [job["id"] for job in cancelled["jobs"]] == [ids[2]]
    by_prefix = (await api.get("/v1/jobs", params={"prefix": ids[3]})).json()
    assert [job["id"] for job in by_prefix["jobs"]] == [ids[3]]
    assert len((await api.get("/v1/jobs", params={"prefix": ids[3][:6]})).json()["jobs"]) == 5

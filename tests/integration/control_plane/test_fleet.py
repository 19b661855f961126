"""What operators and the control plane decide about workers: drain, revoke, forget, stalled, hostile."""

import asyncio
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from mvm_ci.domain.job import Placed
from mvm_ci.domain.outcome import Completed, Failed, Failure, FailureKind, Released
from mvm_ci.domain.segment import Append, Segment
from mvm_ci.lifecycle.watch import HAND_OVER_MS
from mvm_ci.testing.clock import settle
from mvm_ci.wire import blobs as w
from mvm_ci.wire import messages as m
from mvm_ci.wire.frames import encode
from tests.integration.control_plane.conftest import JOIN, Stand, submit
from tests.integration.control_plane.scripted_worker import SECOND, ScriptedWorker

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)
STALL_MS = 120_000
BEAT_MS = 5_000
SEGMENT = Segment(first=0, count=1, data=b"entry")


async def job_of(api: httpx.AsyncClient, job: str) -> Any:
    return (await api.get(f"/v1/jobs/{job}")).json()


async def becomes(api: httpx.AsyncClient, job: str, state: str) -> Any:
    """Waits until the job is so, durably."""
    async with asyncio.timeout(10):
        while (found := await job_of(api, job))["state"] != state:
            pass
    return found


async def nobody_is_known(stand: Stand) -> None:
    """Waits until no worker is."""
    async with asyncio.timeout(10):
        while await stand.registry.workers():
            await settle()


async def view_of(api: httpx.AsyncClient, worker: ScriptedWorker) -> Any:
    return (await api.get(f"/v1/workers/{worker.endpoint.id}")).json()


async def holding(stand: Stand, api: httpx.AsyncClient, *, started: bool = True) -> tuple[Any, Any, str]:
    """A worker with one job."""
    worker = await stand.worker()
    await worker.welcome(credit=1)
    job = (await submit(api))[0]["id"]
    (item,) = await worker.assigned()
    if started:
        await worker.send(m.Started((item.placed,)))
        await worker.beat()
        await becomes(api, job, "in_progress")
    return worker, item, job


async def pass_time(stand: Stand, worker: ScriptedWorker, ms: int) -> None:
    """The worker lives on meanwhile."""
    for _ in range(0, ms, BEAT_MS):
        await stand.clock.advance(BEAT_MS)
        await worker.beat()


# -------------------------------------------------------------------- a hostile worker


@pytest.mark.parametrize(
    "outcome", [Completed(b'"forged"'), Failed(Failure(kind=FailureKind.ERROR, message="no")), Released()]
)
async def test_a_worker_cannot_end_the_job_of_another(
    stand: Stand, api: httpx.AsyncClient, outcome: Any
) -> None:
    owner, item, job = await holding(stand, api)
    hostile = await stand.worker()
    await hostile.welcome()
    for tail in (None, SEGMENT, replace(SEGMENT, first=9)):
        recorded = await hostile.end(item, outcome=outcome, tail=tail)
        assert recorded.placements == (item.placed,)
    found = await job_of(api, job)
    assert (found["state"], found.get("journal_length", 0)) == ("in_progress", 0)
    assert (await api.get("/v1/status")).json()["stale_refused"] == 3
    await owner.end(item)
    assert (await job_of(api, job))["result"] == "done"


async def test_a_worker_cannot_start_or_write_for_another(stand: Stand, api: httpx.AsyncClient) -> None:
    owner, item, job = await holding(stand, api, started=False)
    hostile = await stand.worker()
    await hostile.welcome(credit=1)
    (mine,) = (await submit(api)) and await hostile.assigned()
    await hostile.send(m.Started((item.placed, mine.placed)))
    assert (await hostile.next(m.Drop)).placements == (item.placed,)
    assert (await job_of(api, job))["state"] == "claimed"
    # In one message with its own: each item has its own answer.
    both = (m.AppendItem(item.placed, SEGMENT), m.AppendItem(mine.placed, SEGMENT))
    await hostile.send(m.Append(both))
    assert (await hostile.next(m.Appended)).results == (Append.STALE, Append.DONE)
    assert (await owner.append(item.placed, SEGMENT)).results == (Append.DONE,)


async def test_a_worker_cannot_read_the_journal_of_another(stand: Stand, api: httpx.AsyncClient) -> None:
    owner, item, _ = await holding(stand, api)
    await owner.append(item.placed, SEGMENT)
    hostile = await stand.worker()
    await hostile.welcome()

    async def ask(worker: ScriptedWorker) -> w.BlobAnswer:
        stream = await worker.connection.open()
        await stream.write(encode(w.GetJournal(item.placed)))
        reader = w.answer_reader()
        while (found := reader.feed_one(await stream.read())) is None:
            pass
        return found[0]

    assert isinstance(await ask(hostile), w.Missing)
    assert isinstance(await ask(owner), w.Follows)


async def test_a_worker_cannot_keep_the_job_of_another(stand: Stand, api: httpx.AsyncClient) -> None:
    owner, item, job = await holding(stand, api)
    hostile = await stand.worker()
    await hostile.welcome()
    assert (await hostile.welcome(running=(item.placed,))).keep == ()
    await hostile.end(item)
    assert (await job_of(api, job))["state"] == "in_progress"
    assert (await owner.welcome(running=(item.placed,))).keep == (item.placed,)
    await owner.end(item)
    assert (await job_of(api, job))["state"] == "completed"


async def test_a_worker_cannot_say_a_word_about_a_job_that_it_ended(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, item, job = await holding(stand, api)
    await worker.end(item, outcome=Released())
    await worker.end(item)
    assert (await job_of(api, job))["state"] == "pending"


async def test_who_came_back_after_a_restart_of_the_control_plane_may_go_on(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, item, job = await holding(stand, api)
    await stand.stop()
    await stand.start()
    worker = ScriptedWorker(worker.endpoint, stand.endpoint.ticket())
    assert (await worker.welcome(running=(item.placed,))).keep == (item.placed,)
    await worker.end(item)
    async with stand.client() as again:
        assert (await job_of(again, job))["state"] == "completed"


# -------------------------------------------------------------------- drain


async def test_a_drain_with_a_deadline_hands_over_what_still_runs(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, item, job = await holding(stand, api)
    answer = await api.post(f"/v1/workers/{worker.endpoint.id}/drain", params={"deadline_s": 60})
    assert answer.json()["drain_by_ms"] == stand.clock.now_ms() + 60_000
    assert not (await worker.next(m.Drain)).running
    await pass_time(stand, worker, 55_000)
    assert not [message for message in worker.received if isinstance(message, m.Drain)]
    await pass_time(stand, worker, BEAT_MS)
    assert (await worker.next(m.Drain)).running
    await worker.end(item, outcome=Released(), tail=SEGMENT)
    other = await stand.worker()
    await other.welcome(credit=1)
    (again,) = await other.assigned()
    assert (again.placed, again.entries) == (Placed(item.placed.job, 2), 1)
    assert (await job_of(api, job)).get("losses", 0) == 0


async def test_who_does_not_hand_over_in_time_loses_it(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, job = await holding(stand, api)
    await api.post(f"/v1/workers/{worker.endpoint.id}/drain", params={"deadline_s": 0})
    await pass_time(stand, worker, BEAT_MS + HAND_OVER_MS)
    assert (await worker.next(m.Drop)).placements == (item.placed,)
    await becomes(api, job, "pending")
    await worker.end(item)
    assert (await job_of(api, job))["state"] == "pending"


async def test_a_restart_of_the_control_plane_keeps_a_drain_and_its_deadline(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, item, _ = await holding(stand, api)
    await api.post(f"/v1/workers/{worker.endpoint.id}/drain", params={"deadline_s": 20})
    await stand.stop()
    await stand.start()
    worker = ScriptedWorker(worker.endpoint, stand.endpoint.ticket())
    await worker.welcome(running=(item.placed,), credit=1)
    assert not (await worker.next(m.Drain)).running
    await pass_time(stand, worker, 20_000)
    assert (await worker.next(m.Drain)).running
    async with stand.client() as again:
        await submit(again)
        await worker.beat()
        assert not [message for message in worker.received if isinstance(message, m.Assign)]


async def test_who_is_not_there_or_revoked_cannot_be_drained(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, _, _ = await holding(stand, api)
    path = f"/v1/workers/{worker.endpoint.id}"
    await api.post(f"{path}/revoke")
    for action in ("drain", "resume"):
        answer = await api.post(f"{path}/{action}")
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert (await api.post(f"/v1/workers/{'0' * 64}/{action}")).status_code == 404


# -------------------------------------------------------------------- revoke, forget, ephemeral


async def test_a_revoked_worker_reports_nothing_any_more(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, job = await holding(stand, api)
    await api.post(f"/v1/workers/{worker.endpoint.id}/revoke")
    # What it sends before it has noticed.
    ended = m.Ended((m.EndedItem(item.placed, Completed(b"1"), None),))
    await worker.stream.write(encode(ended))
    assert (await worker.closed())[0] == m.CLOSE_REFUSED
    assert (await becomes(api, job, "pending"))["losses"] == 1


async def test_a_revoked_worker_gets_no_blob_any_more(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, _, _ = await holding(stand, api)
    ref = await stand.blobs.put(b"secret" * 1000)
    await api.post(f"/v1/workers/{worker.endpoint.id}/revoke")
    stream = await worker.connection.open()
    await stream.write(encode(w.GetBlob(ref.digest)))
    assert (await worker.closed())[0] == m.CLOSE_REFUSED


async def test_a_worker_is_forgotten_when_it_is_gone(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, _ = await holding(stand, api)
    path = f"/v1/workers/{worker.endpoint.id}"
    answer = await api.delete(path)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    await worker.end(item)
    await worker.send(m.Goodbye())
    await worker.closed()
    assert (await api.delete(path)).status_code == 200
    assert (await api.delete(path)).status_code == 404
    assert (await api.get("/v1/workers")).json()["workers"] == []
    assert isinstance(await worker.say_hello(join_token=None), m.Refused)
    await worker.welcome(join_token=JOIN)


async def test_a_revoked_and_forgotten_key_stays_refused(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, _, _ = await holding(stand, api)
    path = f"/v1/workers/{worker.endpoint.id}"
    await api.post(f"{path}/revoke")
    assert (await api.delete(path)).status_code == 200
    assert (await api.get("/v1/workers")).json()["workers"] == []
    answer = await worker.say_hello(join_token=JOIN)
    assert isinstance(answer, m.Refused)
    assert (answer.code, answer.final) == (m.REFUSED_REVOKED, True)


@pytest.mark.parametrize("end", ["goodbye", "lease", "restart", "revoked"])
async def test_an_ephemeral_worker_is_forgotten_with_its_session(
    stand: Stand, api: httpx.AsyncClient, end: str
) -> None:
    worker = await stand.worker()
    await worker.welcome(ephemeral=True)
    assert (await view_of(api, worker))["ephemeral"] is True
    if end == "goodbye":
        await worker.send(m.Goodbye())
        await worker.closed()
    elif end == "revoked":
        answer = await api.post(f"/v1/workers/{worker.endpoint.id}/revoke")
        assert answer.json()["state"] == "revoked"
    else:
        if end == "restart":
            await stand.stop()
            await stand.start()
        await stand.clock.advance(15_000)
    await nobody_is_known(stand)


async def test_an_ephemeral_worker_whose_end_was_written_is_forgotten_at_the_next_start(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker = await stand.worker()
    welcome = await worker.welcome(ephemeral=True)
    await stand.stop()
    await stand.registry.close_session(worker.endpoint.id, welcome.session, 1)
    await stand.start()
    assert await stand.registry.workers() == []


# -------------------------------------------------------------------- labels, versions


async def test_workers_are_found_by_their_labels(stand: Stand, api: httpx.AsyncClient) -> None:
    linux, mac = await stand.worker(), await stand.worker()
    await linux.welcome(labels={"os": "linux", "gpu": ""}, name="linux")
    await mac.welcome(labels={"os": "macos"}, name="mac")

    async def named(labels: str) -> set[str]:
        answer = await api.get("/v1/workers", params={"label": labels})
        return {worker["name"] for worker in answer.json()["workers"]}

    assert await named("os=linux") == await named("gpu") == await named("os=linux,gpu") == {"linux"}
    assert await named("os") == {"linux", "mac"}
    assert await named("os=windows") == set()
    assert (await api.get("/v1/workers", params={"label": "OS"})).status_code == 400
    assert (await view_of(api, linux))["labels"] == {"os": "linux", "gpu": ""}


async def test_a_hello_with_labels_that_cannot_be_ends_the_connection(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker = await stand.worker()
    await worker.dial()
    await worker.send(replace(worker.hello, labels={"no label": "x"}))
    assert (await worker.closed())[0] == m.CLOSE_PROTOCOL
    assert (await api.get("/v1/workers")).json()["workers"] == []


async def test_an_older_worker_is_shown_as_such(stand: Stand, api: httpx.AsyncClient) -> None:
    old, new = await stand.worker(), await stand.worker()
    await old.welcome(version="0.0.1")
    await new.welcome()
    assert (await view_of(api, old))["outdated"] is True
    view = await view_of(api, new)
    assert (view.get("outdated", False), view["protocol"]) == (False, m.PROTOCOL)


async def test_a_join_token_that_was_revoked_lets_nobody_in(stand: Stand, api: httpx.AsyncClient) -> None:
    token = (await api.post("/v1/join-tokens", json={"uses": 5, "name": "fleet"})).json()
    first, second = (
        await stand.worker(join_token=token["token"]),
        await stand.worker(join_token=token["token"]),
    )
    await first.welcome()
    listed = {one["id"]: one for one in (await api.get("/v1/join-tokens")).json()["tokens"]}
    assert [listed[token["id"]][key] for key in ("name", "uses", "uses_left")] == ["fleet", 5, 4]
    path = f"/v1/join-tokens/{token['id']}"
    assert (await api.delete(path)).status_code == 200
    assert (await api.delete(path)).status_code == 404
    assert isinstance(await second.say_hello(), m.Refused)
    await first.send(m.Goodbye())
    await first.closed()
    await first.welcome(incarnation=SECOND)


# -------------------------------------------------------------------- progress


async def test_a_worker_that_lives_but_starts_nothing_is_noticed(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, item, job = await holding(stand, api, started=False)
    await worker.send(m.Credit(3))
    await pass_time(stand, worker, STALL_MS - BEAT_MS)
    assert (await job_of(api, job))["state"] == "claimed"
    await pass_time(stand, worker, BEAT_MS)
    assert (await worker.next(m.Drop)).placements == (item.placed,)
    assert (await becomes(api, job, "pending")).get("losses", 0) == 0
    view = await view_of(api, worker)
    assert (view["stalled"], view["connected"]) == (True, True)
    # It has credit, but gets nothing; another worker does.
    other = await stand.worker()
    await other.welcome(credit=1)
    (again,) = await other.assigned()
    assert again.placed == Placed(item.placed.job, 2)
    # If it wakes up now it is too late.
    await worker.send(m.Started((item.placed,)))
    assert (await worker.next(m.Drop)).placements == (item.placed,)


async def test_a_stalled_worker_gets_one_job_to_show_that_it_works(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, _, _ = await holding(stand, api, started=False)
    await worker.send(m.Credit(3))
    await submit(api, 2)
    await worker.assigned(2)
    await pass_time(stand, worker, STALL_MS)
    assert (await view_of(api, worker))["stalled"] is True
    # As a worker does that was told to drop what it had.
    await worker.send(m.Credit(3))
    await pass_time(stand, worker, STALL_MS)
    (probe,) = await worker.assigned()
    await worker.send(m.Started((probe.placed,)))
    await pass_time(stand, worker, BEAT_MS)
    assert (await view_of(api, worker)).get("stalled", False) is False
    await worker.assigned(2)


async def test_an_operator_can_give_a_stalled_worker_jobs_again(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, _, _ = await holding(stand, api, started=False)
    await worker.send(m.Credit(1))
    await pass_time(stand, worker, STALL_MS)
    assert (await view_of(api, worker))["stalled"] is True
    await api.post(f"/v1/workers/{worker.endpoint.id}/resume")
    await worker.assigned()
    assert (await view_of(api, worker)).get("stalled", False) is False


async def test_what_runs_is_left_alone_and_keeps_its_worker_from_being_stalled(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, item, job = await holding(stand, api)
    await worker.send(m.Credit(2))
    ended, waits = [(await submit(api))[0]["id"] for _ in range(2)]
    second, third = await worker.assigned(2)
    await pass_time(stand, worker, STALL_MS - BEAT_MS)
    await worker.end(second)
    await pass_time(stand, worker, BEAT_MS)
    assert (await worker.next(m.Drop)).placements == (third.placed,)
    await becomes(api, waits, "pending")
    assert (await view_of(api, worker)).get("stalled", False) is False
    assert (await job_of(api, job))["state"] == "in_progress"
    assert (await job_of(api, ended))["state"] == "completed"
    await worker.end(item)
    assert (await job_of(api, job))["state"] == "completed"


async def test_a_worker_without_runners_loses_what_it_has(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, job = await holding(stand, api)
    worker.runners = 0
    await pass_time(stand, worker, STALL_MS)
    assert (await job_of(api, job))["state"] == "in_progress"
    await pass_time(stand, worker, BEAT_MS)
    assert (await worker.next(m.Drop)).placements == (item.placed,)
    await becomes(api, job, "pending")
    assert (await view_of(api, worker))["stalled"] is True


async def test_a_worker_with_nothing_to_do_is_not_stalled(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await stand.worker()
    await worker.welcome(credit=4)
    await pass_time(stand, worker, 2 * STALL_MS)
    assert (await view_of(api, worker)).get("stalled", False) is False

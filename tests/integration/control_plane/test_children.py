"""Children over the real control plane, with workers that a test scripts."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import format_job_id, parse_job_id
from mvm_ci.domain.job import JobState, Placed
from mvm_ci.domain.mail import NEVER_MS, of_child
from mvm_ci.domain.outcome import (
    Completed,
    Continued,
    Failed,
    Failure,
    FailureKind,
    Outcome,
    Parked,
    Stopped,
    Suspended,
)
from mvm_ci.domain.role import Role
from mvm_ci.lifecycle.family import MAX_AT_ONCE
from mvm_ci.ports.job_queue import Report
from mvm_ci.testing.clock import settle
from mvm_ci.wire import messages as m
from tests.integration.control_plane.conftest import MODULE, TEAM, Stand, submit
from tests.integration.control_plane.families import (
    HOST,
    NOWHERE,
    children,
    ended,
    ready,
    running,
    seen,
    start,
    state,
)

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)
FAILS = Failed(Failure(kind=FailureKind.ERROR, message="no"))


async def many(api: httpx.AsyncClient) -> int:
    return len((await api.get("/v1/jobs", params={"limit": 1000})).json()["jobs"])


# -------------------------------------------------------------------- starting


async def test_a_guest_starts_children_and_hears_of_their_ends(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, parent = await running(stand, api)
    one, two = await start(worker, item, 2)
    topics = [of_child(parse_job_id(child)) for child in (one, two)]
    await worker.wait_for_mail(item.placed, *topics)
    other = await ready(stand)
    first, second = await other.assigned(2)
    assert [view["parent"] for view in (await seen(api, one), await seen(api, two))] == [parent, parent]
    await other.end(second, outcome=FAILS)
    ((topic, body),) = await worker.mail()
    assert (topic, body) == (topics[1], None)
    await other.end(first, outcome=Completed(b"42"))
    await worker.wait_for_mail(item.placed, topics[0])
    assert await worker.mail() == [(topics[0], b"42")]


async def test_a_suspended_parent_is_placed_again_when_a_child_ends(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, item, _ = await running(stand, api)
    (child,) = await start(worker, item)
    waits = Suspended(NEVER_MS, (of_child(parse_job_id(child)),))
    await worker.end(item, outcome=waits, credit=1)
    (at_work,) = await worker.assigned()
    assert format_job_id(at_work.placed.job) == child
    await worker.end(at_work, credit=1)
    (again,) = await worker.assigned()
    assert again.placed == Placed(item.placed.job, 2)


async def test_asked_again_they_are_the_same_children(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, _ = await running(stand, api)
    once = await start(worker, item, 3)
    assert await start(worker, item, 3) == once
    await worker.welcome(running=(item.placed,))
    assert await start(worker, item, 3) == once
    assert await start(worker, item, 3, call=1) != once
    assert await many(api) == 1 + 3 + 3


async def test_asked_again_while_they_are_on_their_way_they_are_the_same(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, item, _ = await running(stand, api)
    submit_, on_the_way, go = stand.queue.submit, asyncio.Event(), asyncio.Event()

    async def slow(*arguments: Any) -> None:
        on_the_way.set()
        await go.wait()
        await submit_(*arguments)

    monkeypatch.setattr(stand.queue, "submit", slow)
    question = worker.question(item.placed, "child.start", children(1, 2))
    await worker.send(question)
    await on_the_way.wait()
    await worker.welcome(running=(item.placed,))
    await worker.send(question)
    await settle()
    go.set()
    answer = await worker.answered()
    assert len(answer["ok"]["jobs"]) == 2
    assert await many(api) == 1 + 2


async def test_what_has_become_full_since_does_not_undo_what_was_done(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    await stand.stop()
    await stand.start(max_jobs=4)
    async with stand.client() as client:
        worker, item, _ = await running(stand, client)
        once = await start(worker, item, 3)
        assert await start(worker, item, 3) == once
        refused = await worker.ask(item.placed, "child.start", children(1), call=1)
        assert refused["error"]["kind"] == "queue-full"
        assert await many(client) == 4


async def test_a_store_that_fails_cuts_the_connection_and_is_asked_again(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, item, _ = await running(stand, api)

    def fail(*_: object) -> asyncio.Future[None]:
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        failed.set_exception(Unavailable("the disk is full"))
        return failed

    with monkeypatch.context() as broken:
        broken.setattr(stand.queue, "submit", fail)
        await worker.send(worker.question(item.placed, "child.start", children(1)))
        code, reason = await worker.closed()
        assert (code, "store" in reason) == (m.CLOSE_DONE, True)
    await worker.welcome(running=(item.placed,))
    (child,) = await start(worker, item)
    assert await many(api) == 2
    await other_ends(stand, child)


async def other_ends(stand: Stand, child: str) -> None:
    other = await ready(stand, 1)
    (item,) = await other.assigned()
    assert format_job_id(item.placed.job) == child
    await other.end(item)


async def test_an_error_of_our_own_costs_one_guest_an_answer_and_no_other_one_its_worker(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, item, _ = await running(stand, api)

    async def bug(*_: object) -> None:
        raise KeyError("something of ours")

    with monkeypatch.context() as broken, capture_logs() as logs:
        broken.setattr(stand.plane._family._submitter, "check", bug)
        answer = await worker.ask(item.placed, "child.start", children(1))
    assert answer["error"]["kind"] == "error"
    assert "something of ours" not in answer["error"]["message"]
    assert [entry["name"] for entry in logs if entry["event"] == "question_failed"] == ["child.start"]
    assert len(await start(worker, item, call=1)) == 1


# -------------------------------------------------------------------- what a parent may ask for


@pytest.mark.parametrize(
    ("may", "asked", "allowed"),
    [
        ([HOST], [HOST], True),
        ([HOST], None, True),
        ([HOST], [], True),
        ([], None, True),
        ([], [HOST], False),
        ([HOST], ["other.example.org"], False),
        ([HOST], [f"{HOST}:8443"], False),
        ([f"{HOST}:*"], [f"{HOST}:8443", HOST], True),
        ([f"{HOST}:443"], [HOST], False),
        (["*.example.org"], [HOST, "*.a.example.org"], True),
        (["*.example.org"], ["example.org"], False),
        (["*.example.org"], ["*"], False),
        (["*"], [HOST, "*", "10.0.0.1"], True),
        (["*"], ["*:*"], False),
        (["10.0.0.1"], ["10.0.0.1"], True),
    ],
)
async def test_a_child_may_call_no_host_that_its_parent_may_not(
    stand: Stand, api: httpx.AsyncClient, may: list[str], asked: list[str] | None, *, allowed: bool
) -> None:
    worker, item, _ = await running(stand, api, allow_hosts=may)
    fields = {} if asked is None else {"allow_hosts": asked}
    answer = await worker.ask(item.placed, "child.start", children(1, **fields))
    if allowed:
        (child,) = await stand.queue.get([parse_job_id(answer["ok"]["jobs"][0])])
        assert child.spec.allow_hosts == tuple(may if asked is None else asked)
    else:
        assert answer["error"]["kind"] == "refused"
        assert await many(api) == 1


async def test_children_are_in_the_namespace_of_their_parent_and_of_its_modules(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    async with stand.client(namespace=TEAM) as team:
        worker, item, _ = await running(stand, team)
        (child,) = await start(worker, item)
        assert await state(team, child) == "pending"
    answer = await api.get(f"/v1/jobs/{child}")
    assert answer.status_code == 404


async def test_a_namespaces_quota_holds_for_children(stand: Stand, api: httpx.AsyncClient) -> None:
    await api.put("/v1/namespaces/default/quota", json={"max_waiting": 2, "max_running": 1})
    worker, item, _ = await running(stand, api, credit=5)
    one, _two = await start(worker, item, 2)
    refused = await worker.ask(item.placed, "child.start", children(1), call=1)
    assert refused["error"]["kind"] == "quota-exceeded"
    await settle()
    await worker.beat()
    assert not [message for message in worker.received if isinstance(message, m.Assign)]
    await worker.end(item, outcome=Suspended(NEVER_MS, (of_child(parse_job_id(one)),)))
    assert format_job_id((await worker.assigned())[0].placed.job) == one


@pytest.mark.parametrize(
    ("argument", "kind"),
    [
        ({"jobs": []}, "bad-input"),
        ({"jobs": [{"module": MODULE, "idempotency_key": "mine"}]}, "bad-input"),
        ({"jobs": [{"module": MODULE, "priority": 99}]}, "bad-input"),
        ({"jobs": [{"module": "f" * 64}]}, "not-found"),
        ({"jobs": [{"module": MODULE}] * (MAX_AT_ONCE + 1)}, "bad-input"),
        ({"jobs": [{"module": MODULE, "after": [{"job": "j0000000000001"}]}]}, "not-found"),
        ({"jobs": [{"module": MODULE, "unknown": 1}]}, "bad-input"),
        ([], "bad-input"),
    ],
)
async def test_what_no_job_can_be_is_no_child(
    stand: Stand, api: httpx.AsyncClient, argument: Any, kind: str
) -> None:
    worker, item, _ = await running(stand, api)
    answer = await worker.ask(item.placed, "child.start", argument)
    assert answer["error"]["kind"] == kind
    assert await many(api) == 1


async def test_a_parent_cancels_its_own_children_and_nobody_elses(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, item, parent = await running(stand, api)
    (child,) = await start(worker, item)
    (stranger,) = await submit(api)
    for call, (job, kind) in enumerate(
        [(stranger["id"], "not-found"), (parent, "not-found"), ("x", "bad-input")], 1
    ):
        answer = await worker.ask(item.placed, "child.cancel", {"job": job}, call=call)
        assert answer["error"]["kind"] == kind
    for call in (5, 5, 6):
        assert await worker.ask(item.placed, "child.cancel", {"job": child}, call=call) == {"ok": None}
    assert await state(api, child) == "cancelled"
    assert await state(api, stranger["id"]) == "pending"


# -------------------------------------------------------------------- who is left


async def fails(stand: Stand, api: httpx.AsyncClient, worker: Any, item: m.Assignment) -> str:
    await worker.end(item, outcome=FAILS)
    return "failed"


async def is_cancelled(stand: Stand, api: httpx.AsyncClient, worker: Any, item: m.Assignment) -> str:
    await api.post(f"/v1/jobs/{format_job_id(item.placed.job)}/cancel")
    await worker.next(m.Stop)
    await worker.end(item, outcome=Stopped())
    return "cancelled"


async def dies(stand: Stand, api: httpx.AsyncClient, worker: Any, item: m.Assignment) -> str:
    stand.plane.sessions._rescuer._max_losses = 0
    await worker.send(m.Goodbye())
    assert await ended(api, format_job_id(item.placed.job)) == "dead"
    return "dead"


@pytest.mark.parametrize("end", [fails, is_cancelled, dies])
async def test_children_of_a_parent_that_ends_without_a_result_are_cancelled(
    stand: Stand, api: httpx.AsyncClient, end: Callable[..., Awaitable[str]]
) -> None:
    worker, item, parent = await running(stand, api)
    placed, waiting = await start(worker, item, 2)
    other = await ready(stand, 1)
    (child,) = await other.assigned()
    assert format_job_id(child.placed.job) == placed
    assert await end(stand, api, worker, item) == await state(api, parent)
    assert (await other.next(m.Stop)).placements == (child.placed,)
    await other.end(child, outcome=Stopped())
    assert [await ended(api, one) for one in (placed, waiting)] == ["cancelled"] * 2


async def test_children_of_a_parent_that_completed_go_on(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, _ = await running(stand, api)
    (child,) = await start(worker, item)
    await worker.end(item)
    await settle()
    assert await state(api, child) == "pending"
    await other_ends(stand, child)
    assert await state(api, child) == "completed"


async def test_children_of_an_attempt_that_failed_are_cancelled_and_those_of_the_next_are_not(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, item, parent = await running(stand, api, max_attempts=2)
    (before,) = await start(worker, item, labels=NOWHERE)
    await worker.end(item, outcome=FAILS, credit=1)
    assert await ended(api, before) == "cancelled"
    await stand.clock.advance(2_000)
    (again,) = await worker.assigned()
    assert again.attempt == 2
    (after,) = await start(worker, again, labels=NOWHERE)
    assert after != before
    await settle()
    assert await state(api, after) == "pending"
    await worker.end(again)
    assert await state(api, parent) == "completed"


async def test_who_goes_on_as_new_keeps_its_children_through_a_failure(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, item, _ = await running(stand, api, max_attempts=2)
    (first,) = await start(worker, item, labels=NOWHERE)
    await worker.end(item, outcome=Continued(b"{}"), credit=1)
    (again,) = await worker.assigned()
    assert (again.attempt, again.spec.input) == (2, b"{}")
    (second,) = await start(worker, again, labels=NOWHERE)
    # It fails for the first time since: it has another attempt, and only what this one started is nobody's.
    await worker.end(again, outcome=FAILS, credit=1)
    assert await ended(api, second) == "cancelled"
    assert await state(api, first) == "pending"


async def test_a_child_whose_parent_ends_while_it_is_being_started_is_cancelled(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, item, parent = await running(stand, api)
    check, asked, go = stand.plane._family._submitter.check, asyncio.Event(), asyncio.Event()

    async def slow(*arguments: Any) -> Any:
        found = await check(*arguments)
        asked.set()
        await go.wait()
        return found

    monkeypatch.setattr(stand.plane._family._submitter, "check", slow)
    await worker.send(worker.question(item.placed, "child.start", children(1)))
    await asked.wait()
    await api.post(f"/v1/jobs/{parent}/cancel")
    await worker.end(item, outcome=Stopped())
    assert await state(api, parent) == "cancelled"
    go.set()
    (child,) = (await worker.answered())["ok"]["jobs"]
    assert await ended(api, child) == "cancelled"


async def test_a_child_that_a_person_revives_is_on_its_own(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, _ = await running(stand, api)
    (child,) = await start(worker, item)
    await worker.end(item, outcome=FAILS)
    assert await ended(api, child) == "cancelled"
    await api.post(f"/v1/jobs/{child}/retry")
    await stand.stop()
    await stand.start()
    async with stand.client() as client:
        await settle()
        view = await seen(client, child)
        assert view["state"] == "pending"
        assert "parent" not in view


# -------------------------------------------------------------------- a restart at every moment


@pytest.mark.parametrize(
    ("became", "expected"),
    [
        (JobState.FAILED, "cancelled"),
        (JobState.CANCELLED, "cancelled"),
        (JobState.SCHEDULED, "cancelled"),
        (JobState.DEAD, "cancelled"),
        (JobState.COMPLETED, "pending"),
        (JobState.PENDING, "pending"),
        (JobState.SUSPENDED, "pending"),
        (JobState.PAUSED, "pending"),
    ],
)
async def test_what_became_of_a_parent_before_a_crash_is_seen_after_the_start(
    stand: Stand, api: httpx.AsyncClient, became: JobState, expected: str
) -> None:
    """The control plane ends between the write that ends its parent, and what follows from that."""
    worker, item, parent = await running(stand, api)
    (child,) = await start(worker, item)
    await stand.stop()
    await end_as(stand, item.placed, became)
    await stand.start()
    async with stand.client() as client:
        assert await state(client, parent) == became.label
        if expected == "pending":
            await settle()
            assert await state(client, child) == "pending"
        else:
            assert await ended(client, child) == expected


async def end_as(stand: Stand, placed: Placed, became: JobState) -> None:
    now = stand.clock.now_ms()
    outcomes: dict[JobState, Outcome] = {
        JobState.FAILED: FAILS,
        JobState.SCHEDULED: FAILS,
        JobState.COMPLETED: Completed(b"1"),
        JobState.PENDING: Continued(b"1"),
        JobState.SUSPENDED: Suspended(now + 60_000),
        JobState.PAUSED: Parked(FAILS.failure),
        JobState.CANCELLED: Stopped(),
    }
    if became is JobState.DEAD:
        (job,) = await stand.queue.get([placed.job])
        await stand.queue.rescue(job.session, now, 0)
        return
    if became is JobState.CANCELLED:
        await stand.queue.cancel([placed.job], now)
    retry_ms = now + 60_000 if became is JobState.SCHEDULED else None
    report = Report(placed=placed, outcome=outcomes[became], retry_ms=retry_ms)
    assert await stand.queue.report([report], now) == [True]


async def test_a_parent_whose_child_ended_before_a_crash_is_placed_after_the_start(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, item, _ = await running(stand, api)
    (child,) = await start(worker, item)
    await worker.end(item, outcome=Suspended(NEVER_MS, (of_child(parse_job_id(child)),)))
    await stand.stop()
    await stand.queue.cancel([parse_job_id(child)], stand.clock.now_ms())
    await stand.start()
    later = await ready(stand, 1)
    (again,) = await later.assigned()
    assert again.placed == Placed(item.placed.job, 2)
    await later.wait_for_mail(again.placed, of_child(parse_job_id(child)))
    assert [topic for topic, _ in await later.mail()] == [of_child(parse_job_id(child))]


async def test_a_viewer_sees_what_a_parent_waits_for(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, parent = await running(stand, api)
    (child,) = await start(worker, item)
    topics = (of_child(parse_job_id(child)), "message:stop")
    await worker.end(item, outcome=Suspended(NEVER_MS, topics))
    async with stand.client(Role.VIEWER) as viewer:
        view = await seen(viewer, parent)
        assert view["awaits"] == [f"child:{child}", "message:stop"]
        assert "wake_ms" not in view
        (reason,) = (await viewer.get(f"/v1/jobs/{parent}/explain")).json()["reasons"]
    assert (reason["code"], reason["message"]) == ("mail", f"it waits for child:{child}, message:stop")

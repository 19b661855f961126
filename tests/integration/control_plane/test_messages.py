"""Messages, waits for mail, progress and metadata over the real control plane, with scripted workers."""

import asyncio
from typing import Any

import httpx
import pytest

from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.ids import JobId, parse_job_id
from mvm_ci.domain.job import Placed
from mvm_ci.domain.mail import MAX_TOPICS, NEVER_MS, WAIT_FOR_MAIL, MailWait, encode_wait
from mvm_ci.domain.outcome import Completed, Continued, Outcome, Released, Stopped, Suspended
from mvm_ci.domain.role import Role
from mvm_ci.domain.segment import Segment
from mvm_ci.testing.clock import settle
from mvm_ci.wire import messages as m
from tests.integration.control_plane.conftest import TEAM, Stand, submit
from tests.integration.control_plane.families import ready, running, seen, state
from tests.integration.control_plane.scripted_worker import ScriptedWorker

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)
GO = "message:go"
WAITS = Suspended(NEVER_MS, (GO,))


async def send(api: httpx.AsyncClient, job: str, body: Any = 1, **fields: Any) -> httpx.Response:
    return await api.post("/v1/messages", json={"to": job, "type": "go", "body": body, **fields})


async def sent(api: httpx.AsyncClient, job: str, body: Any = 1, **fields: Any) -> None:
    answer = await send(api, job, body, **fields)
    assert (answer.status_code, answer.json()) == (200, {"job": job}), answer.text


# -------------------------------------------------------------------- waits


async def test_a_message_goes_to_the_guest_that_waits_where_it_is(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, item, job = await running(stand, api)
    await worker.wait_for_mail(item.placed, GO)
    await sent(api, job, "other", type="other")
    await sent(api, job, {"n": 1})
    assert await worker.mail() == [(GO, b'{"n":1}')]


async def test_mail_that_is_there_is_given_at_once_and_again_until_it_is_taken(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, item, job = await running(stand, api)
    for number in (1, 2):
        await sent(api, job, number)
    for at_once in (False, True):
        await worker.wait_for_mail(item.placed, GO, at_once=at_once)
        assert await worker.mail() == [(GO, b"1"), (GO, b"2")]
    (first, second) = await stand.mail.mail(item.placed.job, (GO,), 9)
    await worker.append(item.placed, Segment(0, 1, b"took", (first.number,)))
    await worker.wait_for_mail(item.placed, GO)
    assert await worker.mail() == [(GO, b"2")]
    await worker.append(item.placed, Segment(1, 1, b"took", (second.number,)))
    await worker.wait_for_mail(item.placed, GO, at_once=True)
    assert await worker.mail() == []


async def test_a_message_wakes_the_suspended_job(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, job = await running(stand, api)
    await worker.end(item, outcome=WAITS, credit=1)
    await settle()
    assert await state(api, job) == "suspended"
    await sent(api, job)
    (again,) = await worker.assigned()
    assert again.placed == Placed(item.placed.job, 2)


@pytest.mark.parametrize("waited", [True, False])
async def test_a_message_that_came_just_before_the_suspension_wakes_the_job_too(
    stand: Stand, api: httpx.AsyncClient, *, waited: bool
) -> None:
    """The guest had given up waiting in place; nothing happens afterwards that would set it going."""
    worker, item, job = await running(stand, api, credit=2)
    if waited:
        await worker.wait_for_mail(item.placed, GO)
        await settle()
    await sent(api, job)
    await worker.end(item, outcome=WAITS)
    (again,) = await worker.assigned()
    assert again.placed == Placed(item.placed.job, 2)


async def test_a_message_whose_write_crosses_that_of_the_suspension(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is durable before the control plane has heard that the suspension is."""
    worker, item, job = await running(stand, api, credit=2)
    await worker.wait_for_mail(item.placed, GO)
    await settle()
    report, crossed = stand.queue.report, asyncio.Event()

    async def slow(*arguments: Any) -> list[bool]:
        done: list[bool] = await report(*arguments)
        await crossed.wait()
        return done

    monkeypatch.setattr(stand.queue, "report", slow)
    await worker.send(m.Ended((m.EndedItem(item.placed, WAITS, None),)))
    while await state(api, job) != "suspended":
        await settle()
    await sent(api, job)
    crossed.set()
    (again,) = await worker.assigned()
    assert again.placed == Placed(item.placed.job, 2)


async def test_a_wait_whose_time_is_past_by_its_workers_clock_still_hears_of_mail(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    """It is not placed again at once, but mail does not wait for that."""
    worker, item, job = await running(stand, api)
    await worker.end(item, outcome=Suspended(stand.clock.now_ms() - 10, (GO,)), credit=1)
    assert await state(api, job) == "suspended"
    await sent(api, job)
    (again,) = await worker.assigned()
    assert again.placed == Placed(item.placed.job, 2)


async def test_a_wait_with_a_time_out_ends_in_time(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, job = await running(stand, api)
    await worker.end(item, outcome=Suspended(stand.clock.now_ms() + 5_000, (GO,)), credit=1)
    assert (await seen(api, job))["wake_ms"] == stand.clock.now_ms() + 5_000
    await stand.clock.advance(5_000)
    (again,) = await worker.assigned()
    assert again.placed == Placed(item.placed.job, 2)


async def test_a_guest_that_waits_is_asked_for_again_on_a_new_connection(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, item, job = await running(stand, api)
    await worker.wait_for_mail(item.placed, GO)
    await settle()
    await worker.welcome(running=(item.placed,))
    await worker.wait_for_mail(item.placed, GO)
    await sent(api, job)
    assert await worker.mail() == [(GO, b"1")]


@pytest.mark.parametrize("outcome", [Completed(b"1"), Released(), Continued(b"1"), WAITS, Stopped()])
async def test_nobody_is_left_waiting_for_a_placement_that_is_over(
    stand: Stand, api: httpx.AsyncClient, outcome: Outcome
) -> None:
    worker, item, job = await running(stand, api)
    await worker.wait_for_mail(item.placed, GO)
    await settle()
    if isinstance(outcome, Stopped):
        await api.post(f"/v1/jobs/{job}/pause")
    assert len(stand.plane._mailroom) == 1
    await worker.end(item, outcome=outcome)
    assert len(stand.plane._mailroom) == 0


async def test_nobody_is_left_waiting_for_a_worker_that_is_lost(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, job = await running(stand, api)
    await worker.wait_for_mail(item.placed, GO)
    await settle()
    await worker.send(m.Goodbye())
    await worker.closed()
    while await state(api, job) != "pending":
        await settle()
    assert len(stand.plane._mailroom) == 0


async def test_a_paused_job_that_waits_is_not_woken_until_it_is_resumed(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, item, job = await running(stand, api, credit=2)
    await worker.end(item, outcome=WAITS)
    await api.post(f"/v1/jobs/{job}/pause")
    await sent(api, job)
    await settle()
    assert await state(api, job) == "paused"
    await api.post(f"/v1/jobs/{job}/resume")
    (again,) = await worker.assigned()
    await worker.wait_for_mail(again.placed, GO)
    assert await worker.mail() == [(GO, b"1")]


async def test_mail_that_cannot_be_read_now_is_read_later(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, item, job = await running(stand, api)
    read, failures = stand.mail.mail, iter([True, True, False, False])

    async def away(*arguments: Any) -> Any:
        if next(failures, False):
            raise Unavailable("the disk is away")
        return await read(*arguments)

    monkeypatch.setattr(stand.mail, "mail", away)
    await worker.wait_for_mail(item.placed, GO)
    await sent(api, job)
    await stand.clock.until_sleeping(2)
    await stand.clock.advance(1_000)
    assert await worker.mail() == [(GO, b"1")]


# -------------------------------------------------------------------- who may say what to whom


async def test_a_guest_sends_to_another_job_once(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, job = await running(stand, api)
    (keyed,) = await submit(api, idempotency_key="the other")
    for call, to in enumerate([job, keyed["id"], "the other"]):
        asked = {"to": to, "type": "go", "body": call}
        for _ in "twice":
            answer = await worker.ask(item.placed, "message.send", asked, call=call)
            assert answer == {"ok": {"job": job if call == 0 else keyed["id"]}}
    boxes = [await stand.mail.mail(JobId(parse_job_id(one)), (GO,), 9) for one in (job, keyed["id"])]
    assert [[piece.body for piece in box] for box in boxes] == [[b"0"], [b"1", b"2"]]


async def test_an_id_is_that_of_its_job_whatever_key_another_one_has(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    (job,) = await submit(api)
    (thief,) = await submit(api, idempotency_key=job["id"])
    await sent(api, job["id"])
    assert len(await stand.mail.mail(parse_job_id(job["id"]), (GO,), 9)) == 1
    assert await stand.mail.mail(parse_job_id(thief["id"]), (GO,), 9) == []


async def test_a_key_of_the_api_makes_it_one_message(stand: Stand, api: httpx.AsyncClient) -> None:
    (job,) = await submit(api)
    for key in ("a", "a", "b", None, None):
        await sent(api, job["id"], key, key=key)
    bodies = [piece.body for piece in await stand.mail.mail(parse_job_id(job["id"]), (GO,), 9)]
    assert bodies == [b'"a"', b'"b"', b"null", b"null"]


async def test_messages_stay_in_their_namespace(stand: Stand, api: httpx.AsyncClient) -> None:
    async with stand.client(namespace=TEAM) as team:
        worker, item, theirs = await running(stand, team, idempotency_key="theirs")
        (ours,) = await submit(api, idempotency_key="ours")
        for to in (theirs, "theirs"):
            assert (await send(api, to)).status_code == 404
        for call, to in enumerate((ours["id"], "ours")):
            answer = await worker.ask(item.placed, "message.send", {"to": to}, call=call)
            assert answer["error"]["kind"] == "not-found"


async def test_a_job_that_has_ended_gets_nothing(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, job = await running(stand, api)
    await worker.end(item)
    answer = await send(api, job)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


async def test_too_many_messages_are_refused(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for adapter in ("memory", "sql"):
        monkeypatch.setattr(f"mvm_ci.adapters.{adapter}.mail.MAX_WAITING", 2)
    worker, item, job = await running(stand, api)
    for key in "ab":
        await sent(api, job, key=key)
    answer = await send(api, job, key="c")
    assert (answer.status_code, answer.json()["code"]) == (429, "queue-full")
    refused = await worker.ask(item.placed, "message.send", {"to": job})
    assert refused["error"]["kind"] == "queue-full"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"type": "x" * 101}, 400),
        ({"type": "a\u0000b"}, 400),
        ({"type": "line\n"}, 400),
        ({"key": ""}, 400),
        ({"key": "x" * 201}, 400),
        ({"body": "x" * (1 << 20)}, 413),
        ({"to": "nobody"}, 404),
        ({"to": "j0000000000001"}, 404),
        ({"unknown": 1}, 400),
    ],
)
async def test_what_is_no_message(
    stand: Stand, api: httpx.AsyncClient, fields: dict[str, Any], status: int
) -> None:
    (job,) = await submit(api)
    assert (await api.post("/v1/messages", json={"to": job["id"], **fields})).status_code == status


async def test_a_viewer_sends_nothing(stand: Stand, api: httpx.AsyncClient) -> None:
    (job,) = await submit(api)
    async with stand.client(Role.VIEWER) as viewer:
        assert (await send(viewer, job["id"])).status_code == 403


async def test_a_large_message_is_kept_as_a_blob(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, job = await running(stand, api)
    await worker.wait_for_mail(item.placed, GO)
    await sent(api, job, "x" * 10_000)
    ((_, ref),) = await worker.mail()
    assert await stand.blobs.get(ref.digest) == b'"%s"' % (b"x" * 10_000)


# -------------------------------------------------------------------- placements that are over, and lies


async def test_who_asks_for_a_placement_that_is_over_must_drop_it(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, item, job = await running(stand, api, credit=2)
    await worker.end(item, outcome=Released())
    (again,) = await worker.assigned()
    for ask in (worker.question(item.placed, "message.send", {"to": job}), waits_for(item.placed)):
        await worker.send(ask)
        assert (await worker.next(m.Drop)).placements == (item.placed,)
    await worker.send(m.Tell(item.placed, "progress", b'{"text": "late"}'))
    await worker.beat()
    assert "progress" not in await seen(api, job)
    assert await stand.mail.mail(again.placed.job, ("message:",), 9) == []


def waits_for(placed: Placed, *topics: str) -> m.Ask:
    return m.Ask(99, placed, WAIT_FOR_MAIL, "", encode_wait(MailWait(topics or (GO,))))


async def test_a_worker_asks_in_the_name_of_its_own_jobs_alone(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, job = await running(stand, api)
    (other,) = await submit(api)
    for key in (
        "",
        "x",
        f"{other['id']}-1-0",
        f"{job}-2-0",
        f"{job}-1-",
        f"{job}-1-0x",
        f"{job}-1-{'9' * 99}",
    ):
        for name, argument in [
            ("child.start", {"jobs": [{"module": "noop"}]}),
            ("message.send", {"to": other["id"]}),
            ("promise.create", {"digest": "d" * 64}),
        ]:
            answer = await worker.ask(item.placed, name, argument, key=key)
            assert answer["error"]["kind"] == "bad-input", key
    assert len((await api.get("/v1/jobs")).json()["jobs"]) == 2
    assert await stand.mail.mail(parse_job_id(other["id"]), ("message:",), 9) == []
    assert await stand.mail.promise(f"{other['id']}-1-0") is None


@pytest.mark.parametrize(
    "lie",
    [
        lambda placed: m.Ask(1, placed, WAIT_FOR_MAIL, "", b"nonsense"),
        lambda placed: m.Ask(1, placed, WAIT_FOR_MAIL, "", encode_wait(MailWait(()))),
        lambda placed: m.Ask(1, placed, WAIT_FOR_MAIL, "", encode_wait(MailWait((GO,) * (MAX_TOPICS + 1)))),
        lambda placed: waits_for(placed, "x" * 1_000),
        lambda placed: m.Tell(placed, "nonsense", b"{}"),
        lambda placed: m.Tell(placed, "progress", b"nonsense"),
        lambda placed: m.Tell(placed, "progress", b'{"text": "%s"}' % (b"x" * 201)),
        lambda placed: m.Ended((m.EndedItem(placed, Suspended(1, (GO,) * (MAX_TOPICS + 1)), None),)),
        lambda placed: m.Ended((m.EndedItem(placed, Suspended(1, ("x" * 1_000,)), None),)),
        lambda placed: m.Ended((m.EndedItem(placed, Continued(b"x" * 5_000), None),)),
        lambda placed: m.Append((m.AppendItem(placed, Segment(0, 1, b"", (1, 2))),)),
    ],
)
async def test_a_worker_that_says_what_no_engine_says_is_cut_off(
    stand: Stand, api: httpx.AsyncClient, lie: Any
) -> None:
    worker, item, job = await running(stand, api)
    await worker.send(lie(item.placed))
    assert (await worker.closed())[0] == m.CLOSE_PROTOCOL
    assert await state(api, job) in {"claimed", "in_progress"}


async def test_a_worker_that_asks_more_than_there_are_guests_is_cut_off(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mvm_ci.control_plane.asking.MAX_WAITING", 10)
    monkeypatch.setattr("mvm_ci.control_plane.asking.AT_ONCE", 2)
    worker, item, job = await running(stand, api)
    get, go = stand.queue.get, asyncio.Event()

    async def slow(jobs: Any) -> Any:
        await go.wait()
        return await get(jobs)

    monkeypatch.setattr(stand.queue, "get", slow)
    questions = [worker.question(item.placed, "message.send", {"to": job}, call=call) for call in range(13)]
    await worker.send(*questions)
    assert (await worker.closed())[0] == m.CLOSE_PROTOCOL
    go.set()


# -------------------------------------------------------------------- what users see


async def test_progress_is_seen_while_the_guest_runs(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, job = await running(stand, api)
    await worker.send(m.Tell(item.placed, "progress", b'{"text": "half", "done": 1, "total": 2}'))
    # It has been heard, but may wait for others to share its commit: an awaited write comes after it.
    await worker.beat()
    await stand.queue.start((), 0)
    view = await seen(api, job)
    assert view["progress"] == {"text": "half", "done": 1.0, "total": 2.0}


async def test_metadata_changes_while_the_guest_runs(stand: Stand, api: httpx.AsyncClient) -> None:
    full = {f"k{number}": "v" for number in range(32)}
    worker, item, job = await running(stand, api, metadata=full)

    async def ask(call: int, **values: str | None) -> Any:
        return await worker.ask(item.placed, "job.metadata", {"metadata": values}, call=call)

    assert (await ask(0, more="x"))["error"]["kind"] == "bad-input"
    assert await ask(1, more="x", k0=None) == {"ok": None}
    view = await seen(api, job)
    assert (view["metadata"]["more"], "k0" in view["metadata"]) == ("x", False)
    found = (await api.get("/v1/jobs", params={"tags": "more=x"})).json()["jobs"]
    assert [one["id"] for one in found] == [job]
    assert (await ask(2, k1="x" * 1_001))["error"]["kind"] == "bad-input"
    assert (await ask(3, **{"a=b": "x"}))["error"]["kind"] == "bad-input"


async def test_an_unknown_call_is_answered(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, _ = await running(stand, api)
    answer = await worker.ask(item.placed, "nonsense", {})
    assert answer["error"]["kind"] == "bad-input"


async def test_many_guests_of_one_worker_wait_at_once(stand: Stand, api: httpx.AsyncClient) -> None:
    worker: ScriptedWorker = await ready(stand, 200)
    made = await submit(api, 200)
    items = await worker.assigned(200)
    for item in items:
        await worker.wait_for_mail(item.placed, GO)
    await asyncio.gather(*(sent(api, job["id"], number) for number, job in enumerate(made)))
    bodies = {body for _ in items for _, body in await worker.mail()}
    assert bodies == {b"%d" % number for number in range(200)}

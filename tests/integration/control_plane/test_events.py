"""Events: what is told, to whom, in which order; going on, gaps, slow and refused readers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from mvm_ci.client import ApiClient
from mvm_ci.control_plane.api import events as stream
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.outcome import Failed, Failure, FailureKind, Released, Stopped, Suspended
from mvm_ci.domain.role import Role
from mvm_ci.domain.tokens import digest, token_id
from mvm_ci.lifecycle import events as lifecycle
from mvm_ci.wire import api as wire
from tests.integration.control_plane.conftest import TEAM, Stand, api_token, submit

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)
FAILURE = Failure(kind=FailureKind.ERROR, message="no")


async def present(api: httpx.AsyncClient, after: int = 0, **params: Any) -> list[dict[str, Any]]:
    """The events that there are now."""
    answer = await api.get("/v1/events", params={"after": after, "follow": 0, **params})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return parsed(answer.text)


def parsed(text: str) -> list[dict[str, Any]]:
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in lines:
            event = json.loads(lines["data"])
            assert (lines["id"], lines["event"]) == (str(event["seq"]), event["kind"])
            found.append(event)
    return found


async def until(api: httpx.AsyncClient, count: int, **params: Any) -> list[dict[str, Any]]:
    """The events that are there once there are so many."""
    async with asyncio.timeout(10):
        while len(found := await present(api, **params)) < count:
            pass  # each question is a request
    assert len(found) == count, found
    return found


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["kind"] for event in events]


@asynccontextmanager
async def followed(api: httpx.AsyncClient, **options: Any) -> AsyncIterator[AsyncIterator[str]]:
    async with api.stream("GET", "/v1/events", **options) as answer:
        assert answer.status_code == 200
        yield answer.aiter_lines()


async def read_until(lines: AsyncIterator[str], count: int) -> list[dict[str, Any]]:
    text = ""
    async with asyncio.timeout(10):
        async for line in lines:
            text += line + "\n"
            if len(found := parsed(text)) == count and not line:
                return found
    raise AssertionError(text)


async def of_a_job(lines: AsyncIterator[str]) -> dict[str, Any]:
    """The next event of a job: others, such as that a control plane has started, may come before it."""
    while True:
        (event,) = await read_until(lines, 1)
        if "job" in event:
            return event


async def test_the_way_of_a_job_is_told_in_order(stand: Stand, api: httpx.AsyncClient) -> None:
    worker = await stand.worker()
    await worker.welcome(credit=1)
    await worker.beat()
    (job,) = await submit(api, max_attempts=2, name="one")
    (item,) = await worker.assigned()
    await worker.end(item, outcome=Suspended(stand.clock.now_ms() + 1_000), credit=1)
    await stand.clock.advance(1_000)
    (item,) = await worker.assigned()
    await worker.end(item, outcome=Released(), credit=1)
    (item,) = await worker.assigned()
    await worker.end(item, outcome=Failed(FAILURE), credit=1)
    await stand.clock.advance(1_000)
    (item,) = await worker.assigned()
    await worker.end(item)
    found = await until(api, 6)
    assert kinds(found) == ["restarted", "submitted", "suspended", "requeued", "retrying", "ended"]
    assert {event["job"] for event in found[1:]} == {job["id"]}
    assert {(event["state"], event["name"], event["queue"]) for event in found[1:]} == {
        ("completed", "one", "default")
    }
    numbers = [event["seq"] for event in found]
    assert numbers == sorted(set(numbers))


async def test_a_job_of_a_worker_that_is_stopped_is_told_of_as_it_ended(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker = await stand.worker()
    await worker.welcome(credit=2)
    await worker.beat()
    cancelled, paused = await submit(api, 2)
    items = await worker.assigned(2)
    assert (await api.post(f"/v1/jobs/{cancelled['id']}/cancel")).json()["cancelled"] == "stopping"
    assert (await api.post(f"/v1/jobs/{paused['id']}/pause")).json()["change"] == "stopping"
    # Both let go in another way than they were told to: only the queue knows what became of them.
    await worker.end(items[0], outcome=Suspended(stand.clock.now_ms() + 9_000))
    await worker.end(items[1], outcome=Stopped())
    assert (await api.post(f"/v1/jobs/{paused['id']}/resume")).json()["change"] == "done"
    await api.post(f"/v1/jobs/{paused['id']}/cancel")
    await api.post(f"/v1/jobs/{paused['id']}/retry")
    first = await until(api, 4, job=cancelled["id"])
    assert kinds(first) == ["restarted", "submitted", "suspended", "ended"]
    assert first[-1]["state"] == "cancelled"
    second = await until(api, 6, job=paused["id"])
    assert kinds(second)[2:] == ["paused", "resumed", "ended", "revived"]


async def test_a_reader_hears_at_once_and_goes_on_where_it_left_off(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    async with followed(api) as lines:
        await anext(lines)
        (first,) = await submit(api)
        event = await of_a_job(lines)
        assert (event["kind"], event["job"]) == ("submitted", first["id"])
    (second,) = await submit(api)
    async with followed(api, headers={"last-event-id": str(event["seq"])}) as lines:
        (event,) = await read_until(lines, 1)
        assert event["job"] == second["id"]
    for text in (b"x", b"", b"-1", b"\xb2", b"9" * 17, b"9" * 5_000):
        assert (await api.get("/v1/events", headers={b"last-event-id": text})).status_code == 400, text


async def test_events_are_of_one_namespace(stand: Stand, api: httpx.AsyncClient) -> None:
    await submit(api)
    async with stand.client(Role.SUBMITTER, TEAM) as team:
        (own,) = await submit(team)
        assert [event.get("job") for event in await until(team, 2)] == [None, own["id"]]
    async with stand.client() as everywhere:
        everywhere.headers["x-namespace"] = TEAM
        assert [event.get("job") for event in await until(everywhere, 2)] == [None, own["id"]]
    assert own["id"] not in [event.get("job") for event in await until(api, 2)]


async def test_kinds_and_jobs_are_chosen(stand: Stand, api: httpx.AsyncClient) -> None:
    one, other = await submit(api, 2)
    await api.post(f"/v1/jobs/{one['id']}/cancel")
    assert kinds(await until(api, 2, kind="ended")) == ["restarted", "ended"]
    assert kinds(await until(api, 3, kind="ended,submitted", job=one["id"])) == [
        "restarted",
        "submitted",
        "ended",
    ]
    assert kinds(await until(api, 2, job=other["id"])) == ["restarted", "submitted"]
    answer = await api.get("/v1/events", params={"kind": "ended,begun"})
    assert (answer.status_code, "begun" in answer.text) == (400, True)


async def test_events_of_jobs_that_were_removed_are_left_out(stand: Stand, api: httpx.AsyncClient) -> None:
    one, other = await submit(api, 2)
    await api.post(f"/v1/jobs/{one['id']}/cancel")
    await until(api, 4)
    await api.delete(f"/v1/jobs/{one['id']}")
    assert {event.get("job") for event in await until(api, 2)} == {None, other["id"]}


async def test_each_start_is_an_event_and_numbers_go_on(stand: Stand) -> None:
    async with stand.client() as api:
        await submit(api)
        before = await until(api, 2)
    await stand.stop()
    await stand.start()
    async with stand.client() as api:
        (restarted,) = await until(api, 1, after=before[-1]["seq"])
        assert restarted["kind"] == "restarted"
        assert restarted["seq"] > before[-1]["seq"]


async def test_a_reader_whose_place_was_trimmed_is_told_of_the_gap(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    await submit(api)
    after = (await until(api, 2))[0]["seq"] - 1
    await submit(api)
    await until(api, 3)
    await stand.events.trim(1 << 60, None, 100)
    found = await present(api, after)
    assert kinds(found) == ["gap", "submitted"]
    assert found[0]["seq"] == after
    assert kinds(await present(api, found[-1]["seq"] - 1)) == ["submitted"]


async def test_events_that_could_not_be_written_are_known_to_be_missing(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await until(api, 1)

    def full(*_: Any, **__: Any) -> asyncio.Future[None]:
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        failed.set_exception(Unavailable("the disk is full"))
        return failed

    with monkeypatch.context() as patched:
        patched.setattr(type(stand.events), "append", full)
        await submit(api, 3)
    await submit(api)
    assert kinds(await until(api, 3)) == ["restarted", "gap", "submitted"]


async def test_silence_is_broken_by_a_comment_with_the_number_that_all_was_looked_at(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "QUIET_S", 0.05)
    async with followed(api, params={"kind": "ended"}) as lines:
        await anext(lines)
        await submit(api)
        last = (await until(api, 2))[-1]["seq"]
        async with asyncio.timeout(10):
            async for line in lines:
                if line == f"id: {last}":
                    break


async def test_a_stream_ends_when_its_token_is_revoked(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "QUIET_S", 0.05)
    async with stand.client(Role.VIEWER, TEAM) as viewer, followed(viewer) as lines:
        await anext(lines)
        token = token_id(digest(api_token(Role.VIEWER, TEAM)))
        assert (await api.post(f"/v1/tokens/{token}/revoke")).status_code == 200
        async with asyncio.timeout(10):
            async for _ in lines:
                pass


async def test_as_many_follow_as_may_and_who_leaves_makes_room(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "MAX_LISTENERS", 1)
    async with followed(api) as lines:
        await submit(api)
        await read_until(lines, 1)
        assert (await api.get("/v1/events")).status_code == 503
    async with asyncio.timeout(10):
        while (await api.get("/v1/events", params={"follow": 0})).status_code != 200:
            pass


async def test_the_client_goes_on_through_a_restart(stand: Stand) -> None:
    found: list[wire.EventView] = []
    heard = asyncio.Event()
    port = int(stand.plane.api_url.rpartition(":")[2])
    async with ApiClient(stand.plane.api_url, api_token(Role.ADMIN)) as client:

        async def read() -> None:
            async for event in client.events(after=0):
                found.append(event)
                heard.set()

        async def hear(count: int) -> None:
            async with asyncio.timeout(30):
                while len(found) < count:
                    heard.clear()
                    await heard.wait()

        reading = asyncio.create_task(read())
        await hear(1)
        async with stand.client() as api:
            await submit(api)
        await hear(2)
        await stand.stop()
        await stand.start(port=port)
        await hear(3)
        assert [event.kind for event in found] == ["restarted", "submitted", "restarted"]
        assert [event async for event in client.events(after=0, follow=False)] == found
        reading.cancel()

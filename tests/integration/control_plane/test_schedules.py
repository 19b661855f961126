"""Schedules through the API of a whole control plane, whose clock a test moves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from mvm_ci.control_plane.api.requests import Request
from mvm_ci.control_plane.api.schedules import listing
from mvm_ci.domain.schedule import CatchUp, Overlap, Schedule
from mvm_ci.lifecycle.schedules import MAX_BACKFILL
from mvm_ci.lifecycle.wake import LONGEST_NAP_MS
from mvm_ci.wire.api import MAX_SCHEDULED_JOB
from tests.integration.control_plane.conftest import MODULE, Stand

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)
SECOND = 1_000
HOUR = 3_600 * SECOND


def definition(**fields: Any) -> dict[str, Any]:
    return {"when": "every 1m", "job": {"module": MODULE, "input": {"at": "$scheduled_time"}}} | fields


async def put(api: httpx.AsyncClient, name: str = "nightly", **fields: Any) -> Any:
    answer = await api.put(f"/v1/schedules/{name}", json=definition(**fields))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def shown(api: httpx.AsyncClient, name: str = "nightly") -> Any:
    answer = await api.get(f"/v1/schedules/{name}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def until(api: httpx.AsyncClient, fact: Callable[[Any], bool], name: str = "nightly") -> Any:
    """The schedule once it is as it should be: the store may still be writing."""
    async with asyncio.timeout(20):
        while not fact(view := await shown(api, name)):
            pass
    return view


async def jobs(api: httpx.AsyncClient) -> list[Any]:
    found: list[Any] = (await api.get("/v1/jobs")).json()["jobs"]
    return found[::-1]


async def input_of(stand: Stand, job: str) -> Any:
    from mvm_ci.domain.ids import parse_job_id

    (found,) = await stand.queue.get([parse_job_id(job)])
    return json.loads(found.spec.input)


def text(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# ---------------------------------------------------------------- definitions


async def test_a_schedule_shows_what_was_asked_and_what_follows(stand: Stand, api: httpx.AsyncClient) -> None:
    asked = definition(
        when="0 9 * * MON-FRI", time_zone="Europe/Berlin", jitter_s=2.5, catch_up="all", overlap="queue-one"
    )
    view = (await api.put("/v1/schedules/nightly", json=asked)).json()
    assert view == asked | {
        "name": "nightly",
        "created_ms": stand.clock.now_ms(),
        "next_ms": 1_700_035_200_000,  # 2023-11-15 09:00 in Berlin
    }
    assert await shown(api) == view


async def test_the_same_definition_again_changes_nothing(stand: Stand, api: httpx.AsyncClient) -> None:
    first = await put(api)
    await stand.clock.advance(SECOND)
    assert await put(api) == first
    other = await put(api, overlap="allow")
    assert other == first | {"overlap": "allow"}


async def test_a_new_definition_does_not_resume(api: httpx.AsyncClient) -> None:
    assert (await put(api, paused=True))["paused"]
    assert (await put(api, when="every 2m"))["paused"]
    assert "paused" not in await put(api, paused=False)


BAD = [
    ({"when": "61 * * * *"}, 400, "when: "),
    ({"when": "0 0 30 2 *"}, 400, "when: "),
    ({"time_zone": "Mars/Base"}, 400, "time_zone: "),
    ({"jitter_s": -1}, 400, "jitter_s: "),
    ({"jitter_s": 1e300}, 400, "jitter_s: "),
    ({"catch_up": "some"}, 400, "catch_up"),
    ({"overlap": "some"}, 400, "overlap"),
    ({"extra": 1}, 400, "extra"),
    ({"job": {"module": "b" * 64}}, 404, "job.module"),
    ({"job": {"module": MODULE, "timeout_s": 0}}, 400, "job.timeout_s"),
    ({"job": {"module": MODULE, "idempotency_key": "a"}}, 400, "job: idempotency_key"),
    ({"job": {"module": MODULE, "run_at_ms": 1}}, 400, "run_at_ms"),
    ({"job": {"module": MODULE, "after": [{"job": "#0"}]}}, 400, "after"),
    ({"job": {"module": MODULE, "input": "x" * MAX_SCHEDULED_JOB}}, 413, "job: "),
]


@pytest.mark.parametrize(("fields", "status", "says"), BAD)
async def test_what_is_wrong_is_said(
    api: httpx.AsyncClient, fields: dict[str, Any], status: int, says: str
) -> None:
    answer = await api.put("/v1/schedules/nightly", json=definition(**fields))
    assert answer.status_code == status, answer.text
    assert says in answer.json()["detail"]
    assert len(answer.json()["detail"]) < 500
    assert (await api.get("/v1/schedules/nightly")).status_code == 404


async def test_names_are_checked_and_missing_ones_named(api: httpx.AsyncClient) -> None:
    answer = await api.put("/v1/schedules/a b", json=definition())
    assert (answer.status_code, "name: " in answer.text) == (400, True)
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("POST", "/trigger"),
        ("GET", "/next"),
    ):
        answer = await api.request(method, f"/v1/schedules/missing{path}")
        assert (answer.status_code, "'missing'" in answer.text) == (404, True)


async def test_schedules_are_listed_by_name_page_by_page(stand: Stand, api: httpx.AsyncClient) -> None:
    for name in ("c", "a", "b"):
        await put(api, name)
    page = (await api.get("/v1/schedules", params={"limit": 2})).json()
    assert ([one["name"] for one in page["schedules"]], page["cursor"]) == (["a", "b"], "b")
    rest = (await api.get("/v1/schedules", params={"limit": 2, "cursor": "b"})).json()
    assert ([one["name"] for one in rest["schedules"]], "cursor" in rest) == (["c"], False)
    elsewhere = await listing(stand.plane.services, Request({}, {}, b"", namespace="other"))
    assert json.loads(elsewhere.body) == {"schedules": []}


async def test_a_deleted_schedule_fires_no_more(stand: Stand, api: httpx.AsyncClient) -> None:
    await put(api)
    assert (await api.delete("/v1/schedules/nightly")).json() == {"name": "nightly"}
    await put(api, "other")
    await stand.clock.advance(60 * SECOND)
    await until(api, lambda view: view.get("fires") == 1, "other")
    assert len(await jobs(api)) == 1


# ---------------------------------------------------------------- firing


async def test_jobs_are_made_and_told_their_time(stand: Stand, api: httpx.AsyncClient) -> None:
    view = await put(api, when="every 1m", overlap="allow")
    await stand.clock.advance(60 * SECOND)
    fired = await until(api, lambda found: found.get("fires") == 1)
    assert (fired["last_fire_ms"], fired["next_ms"]) == (view["next_ms"], view["next_ms"] + 60 * SECOND)
    (job,) = await jobs(api)
    assert (job["id"], job["state"]) == (fired["last_job"], "pending")
    assert await input_of(stand, job["id"]) == {"at": text(view["next_ms"])}


@pytest.mark.parametrize("policy", CatchUp)
async def test_a_restart_after_a_day_makes_up_as_the_policy_says(
    stand: Stand, api: httpx.AsyncClient, policy: CatchUp
) -> None:
    view = await put(api, when="@hourly", overlap="allow", catch_up=policy.value)
    await stand.stop()
    stand.clock.jump(view["next_ms"] - stand.clock.now_ms() + 23.5 * HOUR)
    await stand.start()
    async with stand.client() as again:
        found = await until(again, lambda now: now["next_ms"] == view["next_ms"] + 24 * HOUR)
        expected = {CatchUp.SKIP: 0, CatchUp.LAST: 1, CatchUp.ALL: 24}[policy]
        await until(again, lambda now: now.get("fires", 0) == expected)
        assert found["next_ms"] == view["next_ms"] + 24 * HOUR
        assert len(await jobs(again)) == expected


async def test_a_job_that_ends_lets_the_next_one_begin(stand: Stand, api: httpx.AsyncClient) -> None:
    await put(api, overlap="queue-one")
    await stand.clock.advance(60 * SECOND)
    first = (await until(api, lambda view: view.get("fires") == 1))["last_job"]
    await stand.clock.advance(60 * SECOND)
    await until(api, lambda view: bool(view.get("waiting_ms")))
    await api.post(f"/v1/jobs/{first}/cancel")
    assert (await until(api, lambda view: view.get("fires") == 2))["last_job"] != first


async def test_the_older_job_is_cancelled(stand: Stand, api: httpx.AsyncClient) -> None:
    await put(api, overlap="cancel-older")
    await stand.clock.advance(60 * SECOND)
    await until(api, lambda view: view.get("fires") == 1)
    await stand.clock.advance(60 * SECOND)
    await until(api, lambda view: view.get("fires") == 2)
    assert [job["state"] for job in await jobs(api)] == ["cancelled", "pending"]


async def test_a_fire_is_skipped_while_the_last_job_runs(stand: Stand, api: httpx.AsyncClient) -> None:
    await put(api)
    job = (await api.post("/v1/schedules/nightly/trigger")).json()["job"]
    await stand.clock.advance(60 * SECOND)
    view = await until(api, lambda found: found.get("skipped") == 1)
    assert (view["last_job"], view["fires"]) == (job, 1)
    assert len(await jobs(api)) == 1


async def test_a_clock_that_jumps_a_day_is_noticed(stand: Stand, api: httpx.AsyncClient) -> None:
    await put(api, when="@daily")
    stand.clock.jump(24 * HOUR)
    await stand.clock.advance(LONGEST_NAP_MS)
    await until(api, lambda view: view.get("fires") == 1)


# ---------------------------------------------------------------- pause, trigger, backfill


async def test_a_pause_is_not_made_up_for(stand: Stand, api: httpx.AsyncClient) -> None:
    await put(api, when="@hourly", catch_up="all")
    paused = (await api.post("/v1/schedules/nightly/pause")).json()
    assert (paused["paused"], "next_ms" in paused) == (True, False)
    assert (await api.get("/v1/schedules/nightly/next")).json()["times_ms"]
    stand.clock.jump(5 * HOUR)
    await stand.clock.advance(LONGEST_NAP_MS)
    resumed = (await api.post("/v1/schedules/nightly/resume")).json()
    assert resumed["next_ms"] > stand.clock.now_ms()
    await stand.clock.advance(resumed["next_ms"] - stand.clock.now_ms())
    await until(api, lambda view: view.get("fires") == 1)
    assert len(await jobs(api)) == 1


async def test_the_next_times_are_told(api: httpx.AsyncClient) -> None:
    view = await put(api, when="@hourly", jitter_s=600)
    told = (await api.get("/v1/schedules/nightly/next", params={"count": 3})).json()
    assert told["times_ms"] == [view["next_ms"] + n * HOUR for n in range(3)]
    late = [fire - at for fire, at in zip(told["fires_ms"], told["times_ms"], strict=True)]
    assert all(0 <= one <= 600 * SECOND for one in late)
    assert len(set(late)) == 3


async def test_a_trigger_is_told_the_present_time_even_of_a_paused_schedule(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    await put(api, paused=True)
    told = [(await api.post("/v1/schedules/nightly/trigger")).json()["job"] for _ in range(2)]
    assert [job["id"] for job in await jobs(api)] == told
    assert await input_of(stand, told[0]) == {"at": text(stand.clock.now_ms())}
    assert (await shown(api))["last_job"] == told[1]


async def test_a_backfill_makes_a_job_for_each_time(stand: Stand, api: httpx.AsyncClient) -> None:
    view = await put(api, when="@hourly")
    first = view["next_ms"] - 10 * HOUR
    asked = {"from_ms": first, "to_ms": first + 3 * HOUR}
    dry = (await api.post("/v1/schedules/nightly/backfill", json=asked | {"dry_run": True})).json()
    times = [first + n * HOUR for n in range(3)]
    assert dry == {"times_ms": times}
    assert await jobs(api) == []
    done = (await api.post("/v1/schedules/nightly/backfill", json=asked)).json()
    assert done["times_ms"] == times
    assert [job["id"] for job in await jobs(api)] == done["jobs"]
    assert [(await input_of(stand, job))["at"] for job in done["jobs"]] == list(map(text, times))
    # The schedule itself goes on as if nothing had been.
    assert await shown(api) == view


async def test_a_backfill_is_bounded_and_lies_in_the_past(stand: Stand, api: httpx.AsyncClient) -> None:
    await put(api, when="every 1s")
    now = stand.clock.now_ms()
    for fields, status in (
        ({"from_ms": now - HOUR, "to_ms": now + 1}, 400),
        ({"from_ms": now, "to_ms": now}, 400),
        ({"from_ms": -1, "to_ms": now}, 400),
        ({"from_ms": 0, "to_ms": 1 << 62}, 400),
        ({"from_ms": now - (MAX_BACKFILL + 2) * SECOND, "to_ms": now}, 413),
    ):
        answer = await api.post("/v1/schedules/nightly/backfill", json=fields)
        assert (answer.status_code, "from_ms, to_ms" in answer.text) == (status, True)
    assert await jobs(api) == []


async def test_a_job_that_cannot_be_read_any_more_is_given_up(stand: Stand, api: httpx.AsyncClient) -> None:
    await put(api)
    stored = await stand.schedules.get("default", "nightly")
    assert await stand.schedules.replace(replace(stored, job='{"of_a_newer_version":1}'))
    await stand.clock.advance(60 * SECOND)
    async with asyncio.timeout(20):
        # Each round asks over the network: the control plane has its turns.
        while not (found := await stand.schedules.get("default", "nightly")).last_error:
            await api.get("/livez")
    assert "cannot be read" in found.last_error
    assert (found.waiting, found.fires) == ((), 0)
    assert (await api.get("/v1/schedules/nightly")).status_code == 400
    assert await put(api) == await shown(api)


async def test_a_module_that_is_gone_is_told(stand: Stand, api: httpx.AsyncClient) -> None:
    await put(api)
    stored = await stand.schedules.get("default", "nightly")
    gone = stored.job.replace(MODULE, "b" * 64)
    assert await stand.schedules.replace(replace(stored, job=gone))
    await stand.clock.advance(60 * SECOND)
    view = await until(api, lambda found: bool(found.get("last_error")))
    assert "there is no module" in view["last_error"]
    assert (await api.post("/v1/schedules/nightly/trigger")).status_code == 404


@pytest.mark.parametrize("overlap", Overlap)
async def test_a_restart_between_submission_and_its_record_fires_once(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, overlap: Overlap
) -> None:
    await put(api, overlap=overlap.value, catch_up="all")
    submitted = asyncio.Event()
    write = stand.schedules.replace

    async def cut_off(schedule: Schedule) -> bool:
        if schedule.fires:
            submitted.set()
            await asyncio.Event().wait()  # the process ends here
        written: bool = await write(schedule)
        return written

    monkeypatch.setattr(stand.schedules, "replace", cut_off)
    await stand.clock.advance(60 * SECOND)
    await asyncio.wait_for(submitted.wait(), 20)
    await stand.stop()
    monkeypatch.undo()
    await stand.start()
    async with stand.client() as again:
        view = await until(again, lambda found: found.get("fires") == 1)
        assert [job["id"] for job in await jobs(again)] == [view["last_job"]]
        assert "waiting_ms" not in view

"""Tokens, namespaces and the audit log over the real API."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import httpx
import pytest

from mvm_ci.control_plane.api import auth
from mvm_ci.control_plane.api.routes import Route
from mvm_ci.control_plane.api.table import ROUTES
from mvm_ci.domain.errors import Unavailable
from mvm_ci.domain.quota import Quota
from mvm_ci.domain.role import Role
from mvm_ci.domain.tokens import TokenKind, digest, format_token, token_id
from mvm_ci.ports.access import ALL_NAMESPACES
from tests.integration.control_plane.conftest import AT_ONCE, TEAM, Stand, api_token, submit

JOB = "j0000000000000"
DAY_S = 86_400


async def create(api: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await api.post("/v1/tokens", json={"name": "new", "role": "viewer", **fields})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def audit(api: httpx.AsyncClient, **wanted: Any) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    cursor: dict[str, Any] = {}
    while True:
        page = (await api.get("/v1/audit", params={"limit": 7, **wanted, **cursor})).json()
        entries += page["entries"]
        if "cursor" not in page:
            return entries
        cursor = {"cursor": page["cursor"]}


def bearer(stand: Stand, secret: str, **headers: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=stand.plane.api_url,
        headers={"authorization": f"Bearer {secret}", **headers},
        trust_env=False,
        timeout=20,
    )


async def status_of(stand: Stand, secret: str, path: str = "/v1/whoami", **headers: str) -> int:
    async with bearer(stand, secret, **headers) as client:
        return (await client.get(path)).status_code


# -------------------------------------------------------------------- every route


@pytest.mark.parametrize("route", [r for r in ROUTES if r.role], ids=lambda r: f"{r.method} {r.path}")
async def test_who_may_call_a_route_is_what_its_table_says(stand: Stand, route: Route) -> None:
    path = route.path.replace("{id}", JOB).replace("{name}", "none")
    assert route.role is not None
    refusals = 0
    for role, scope in itertools.product(Role, (ALL_NAMESPACES, TEAM)):
        may = role.includes(route.role) and (scope == ALL_NAMESPACES or not route.everywhere)
        async with stand.client(role, scope) as client:
            # Nothing that a route could carry out: no body, no such job or worker.
            answer = await client.request(route.method, path, params=AT_ONCE.get(route.path, {}))
        assert (answer.status_code == 403) == (not may), (role, scope, answer.text)
        assert answer.status_code != 401
        refusals += not may
    async with stand.client() as admin:
        entries = await audit(admin, action=route.audit or f"{route.method} {route.path}")
    assert sum(entry["outcome"] == "refused" for entry in entries) == refusals
    if route.audit is None:
        assert len(entries) == refusals


# -------------------------------------------------------------------- tokens


async def test_a_token_shows_its_secret_once_and_works(stand: Stand, api: httpx.AsyncClient) -> None:
    made = await create(api, name="ci", role="submitter", namespace=TEAM, ttl_s=60)
    secret = made["token"]
    me = token_id(digest(api_token(Role.ADMIN)))
    assert (made["id"], made["created_by"]) == (token_id(digest(secret)), me)
    assert made["expires_ms"] == made["created_ms"] + 60_000
    async with bearer(stand, secret) as client:
        assert (await client.get("/v1/whoami")).json() == {
            "id": made["id"],
            "name": "ci",
            "role": "submitter",
            "scope": TEAM,
            "namespace": TEAM,
            "expires_ms": made["expires_ms"],
        }
    listed = (await api.get("/v1/tokens")).text
    assert made["id"] in listed
    assert "mvm_api_" not in listed
    assert all(secret not in str(token) for token in await stand.access.tokens())


async def test_a_token_is_for_the_namespace_of_the_request_unless_it_says_another(stand: Stand) -> None:
    async with stand.client() as api:
        api.headers["x-namespace"] = TEAM
        assert (await create(api))["namespace"] == TEAM
        assert (await create(api, namespace="default"))["namespace"] == "default"
        assert (await create(api, namespace="*"))["namespace"] == "*"
        missing = await api.post("/v1/tokens", json={"name": "n", "role": "viewer", "namespace": "none"})
        assert missing.status_code == 404


async def test_nobody_makes_a_token_of_more_rights_than_their_own(stand: Stand) -> None:
    async with stand.client(Role.ADMIN, TEAM) as bound:
        assert (await create(bound, role="admin"))["namespace"] == TEAM
        for wider in ("*", "default", "none"):
            answer = await bound.post("/v1/tokens", json={"name": "n", "role": "viewer", "namespace": wider})
            assert (answer.status_code, answer.json()["code"]) == (403, "refused")
        short = await create(bound, role="admin", ttl_s=60)
    async with bearer(stand, short["token"]) as brief:
        assert (await brief.post("/v1/tokens", json={"name": "n", "role": "viewer"})).status_code == 403
        assert (await create(brief, ttl_s=59))["created_by"] == short["id"]


async def test_a_revoked_token_is_refused_from_the_next_request_on(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    made = await create(api)
    other = await create(api)
    for token in (made, other):  # both are remembered
        assert await status_of(stand, token["token"]) == 200
    revoked = await api.post(f"/v1/tokens/{made['id']}/revoke")
    assert revoked.json()["revoked_ms"] == stand.clock.now_ms()
    assert await status_of(stand, made["token"]) == 401
    assert await status_of(stand, other["token"]) == 200
    again = await api.post(f"/v1/tokens/{made['id']}/revoke")
    assert (again.status_code, again.json()) == (200, revoked.json())


async def test_a_token_that_was_being_looked_up_while_it_was_revoked_is_not_remembered(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await create(api)
    look = stand.access.token
    reading, go_on = asyncio.Event(), asyncio.Event()

    async def slow(key: str) -> Any:
        found = await look(key)
        if key == digest(made["token"]):
            reading.set()
            await go_on.wait()
        return found

    monkeypatch.setattr(stand.access, "token", slow)
    first = asyncio.create_task(status_of(stand, made["token"]))
    await reading.wait()
    assert (await api.post(f"/v1/tokens/{made['id']}/revoke")).status_code == 200
    go_on.set()
    await first
    assert await status_of(stand, made["token"]) == 401


async def test_a_token_is_refused_from_its_expiry_on(stand: Stand, api: httpx.AsyncClient) -> None:
    made = await create(api, ttl_s=60)
    await stand.clock.advance(59_999)
    assert await status_of(stand, made["token"]) == 200
    await stand.clock.advance(1)
    assert await status_of(stand, made["token"]) == 401


async def test_tokens_outside_the_scope_are_not_there(stand: Stand, api: httpx.AsyncClient) -> None:
    free, bound = await create(api), await create(api, namespace=TEAM)
    wide = await create(api, namespace="*")
    async with stand.client(Role.ADMIN, TEAM) as team:
        seen = {token["id"] for token in (await team.get("/v1/tokens")).json()["tokens"]}
        assert bound["id"] in seen
        assert {free["id"], wide["id"]} & seen == set()
        for hidden in (free, wide, {"id": "at0"}):
            assert (await team.post(f"/v1/tokens/{hidden['id']}/revoke")).status_code == 404
        assert (await team.post(f"/v1/tokens/{bound['id']}/revoke")).status_code == 200
    for token in (free, wide):
        assert await status_of(stand, token["token"]) == 200


async def test_the_last_use_is_noted_coarsely(stand: Stand, api: httpx.AsyncClient) -> None:
    made = await create(api)

    async def last_used() -> int | None:
        found = await stand.access.token(digest(made["token"]))
        last: int | None = found.last_used_ms
        return last

    assert await last_used() is None
    await status_of(stand, made["token"])
    first = await last_used()
    assert first == stand.clock.now_ms()
    await stand.clock.advance(auth.USED_MS - 1)
    await status_of(stand, made["token"])
    assert await last_used() == first
    await stand.clock.advance(1)
    await status_of(stand, made["token"])
    assert await last_used() == stand.clock.now_ms()


async def test_a_token_that_is_not_valid_is_counted_and_reads_the_store_once_at_most(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    look = stand.access.token

    async def counted(key: str) -> Any:
        looked.append(key)
        return await look(key)

    monkeypatch.setattr(stand.access, "token", counted)
    unknown = format_token(TokenKind.API, b"?" * 32)
    for secret in ("x", "mvm_api_", "mvm_join_" + unknown[8:], unknown, unknown):
        assert await status_of(stand, secret) == 401
    assert looked == [digest(unknown)] * 2
    assert stand.plane.services.auth.refused == 5
    async with stand.client() as api:
        assert [entry for entry in await audit(api) if entry["outcome"] == "refused"] == []


# -------------------------------------------------------------------- namespaces


async def test_a_token_for_all_chooses_its_namespace(stand: Stand) -> None:
    async with stand.client(Role.VIEWER) as api:
        assert (await api.get("/v1/whoami")).json()["namespace"] == "default"
        found = await api.get("/v1/whoami", headers={"x-namespace": TEAM})
        assert found.json()["namespace"] == TEAM
    for unknown in ("none", "TEAM", "*", ""):
        async with stand.client(Role.VIEWER, **{"x-namespace": unknown}) as api:
            answer = await api.get("/v1/whoami")
            assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_a_token_of_one_namespace_works_in_no_other(stand: Stand) -> None:
    secret = api_token(Role.ADMIN, TEAM)
    assert await status_of(stand, secret) == 200
    assert await status_of(stand, secret, **{"x-namespace": TEAM}) == 200
    for other in ("default", "none", "*"):
        assert await status_of(stand, secret, **{"x-namespace": other}) == 403


async def test_namespaces_are_made_limited_and_removed(stand: Stand, api: httpx.AsyncClient) -> None:
    made = await api.post("/v1/namespaces", json={"name": "lab", "max_waiting": 10})
    assert made.status_code == 200
    assert made.json() == {"name": "lab", "created_ms": stand.clock.now_ms(), "max_waiting": 10}
    assert (await api.post("/v1/namespaces", json={"name": "lab"})).status_code == 409
    limits = {"max_running": 2, "max_bytes": 0}
    changed = await api.put("/v1/namespaces/lab/quota", json=limits)
    assert changed.json() == {"name": "lab", "created_ms": made.json()["created_ms"], **limits}
    assert (await api.get("/v1/namespaces/lab")).json() == changed.json()
    assert stand.plane.services.namespaces.quotas == {"lab": Quota(max_running=2, max_bytes=0)}
    names = [one["name"] for one in (await api.get("/v1/namespaces")).json()["namespaces"]]
    assert names == ["default", "lab", TEAM]
    assert (await api.delete("/v1/namespaces/lab")).json() == changed.json()
    assert (await api.delete("/v1/namespaces/lab")).status_code == 404
    assert (await api.put("/v1/namespaces/lab/quota", json={})).status_code == 404
    assert (await api.get("/v1/namespaces/lab")).status_code == 404
    assert stand.plane.services.namespaces.quotas == {}


async def test_they_are_still_there_after_a_restart(stand: Stand, api: httpx.AsyncClient) -> None:
    await api.post("/v1/namespaces", json={"name": "lab", "max_waiting": 10})
    await stand.stop()
    await stand.start()
    assert stand.plane.services.namespaces.quotas == {"lab": Quota(max_waiting=10)}


@pytest.mark.parametrize(
    "body",
    [{"name": "Lab"}, {"name": ""}, {"name": "x", "max_bytes": -1}, {"name": "x", "max_bytes": 1 << 60}],
)
async def test_what_is_no_namespace_is_refused(api: httpx.AsyncClient, body: dict[str, Any]) -> None:
    answer = await api.post("/v1/namespaces", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad-input")


async def test_only_an_empty_namespace_is_deleted(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await api.delete("/v1/namespaces/default")).status_code == 400
    namespaces = stand.plane.services.namespaces
    looking, go_on = asyncio.Event(), asyncio.Event()

    async def occupied(_: str) -> bool:
        looking.set()
        await go_on.wait()
        return True

    monkeypatch.setattr(namespaces, "_occupied", occupied)
    deleting = asyncio.create_task(api.delete(f"/v1/namespaces/{TEAM}"))
    await looking.wait()
    # Nothing enters it while it is looked into.
    assert await status_of(stand, api_token(Role.VIEWER), **{"x-namespace": TEAM}) == 404
    assert await status_of(stand, api_token(Role.VIEWER, TEAM)) == 404
    go_on.set()
    assert (await deleting).status_code == 409
    assert await status_of(stand, api_token(Role.VIEWER, TEAM)) == 200


async def test_the_tokens_of_a_deleted_namespace_do_not_come_back(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    secret = api_token(Role.VIEWER, TEAM)
    assert await status_of(stand, secret) == 200
    await api.delete(f"/v1/namespaces/{TEAM}")
    await api.post("/v1/namespaces", json={"name": TEAM})
    assert await status_of(stand, secret) == 401


async def test_other_namespaces_are_not_seen(stand: Stand) -> None:
    async with stand.client(Role.ADMIN, TEAM) as team:
        shown = (await team.get("/v1/namespaces")).json()["namespaces"]
        assert [one["name"] for one in shown] == [TEAM]
        assert (await team.get("/v1/namespaces/default")).status_code == 404
        assert (await team.get(f"/v1/namespaces/{TEAM}")).status_code == 200


# -------------------------------------------------------------------- the audit log


async def test_what_was_done_is_on_record(stand: Stand, api: httpx.AsyncClient) -> None:
    made = await create(api, role="operator", namespace=TEAM)
    await api.post(f"/v1/tokens/{made['id']}/revoke")
    await api.post("/v1/join-tokens", json={"uses": 3})
    await api.post("/v1/namespaces", json={"name": TEAM})
    newest, *_ = entries = await audit(api)
    assert [(entry["action"], entry["outcome"]) for entry in entries] == [
        ("namespace.create", "conflict"),
        ("join-token.create", "done"),
        ("token.revoke", "done"),
        ("token.create", "done"),
    ]
    assert newest["token"] == token_id(digest(api_token(Role.ADMIN)))
    assert (newest["name"], newest["namespace"], newest["target"]) == ("admin", "*", TEAM)
    assert newest["at_ms"] == stand.clock.now_ms()
    assert newest["address"] == "127.0.0.1"
    assert entries[-1]["target"] == f"{made['id']} (operator in {TEAM})"


@pytest.mark.parametrize("wait_s", [0, 0.01])
async def test_a_submission_is_one_entry(api: httpx.AsyncClient, wait_s: float) -> None:
    found = await submit(api, 12, wait_s=wait_s)
    (entry,) = await audit(api, action="job.submit")
    assert (entry["target"], entry["outcome"]) == (f"12 jobs from {found[0]['id']}", "done")


async def test_a_submission_that_waits_is_on_record_before_its_jobs_end(stand: Stand) -> None:
    async with stand.client() as api, asyncio.timeout(20):
        waiting = asyncio.create_task(submit(api, 1, wait_s=60))
        while not await audit(api, action="job.submit"):
            assert not waiting.done()
        waiting.cancel()


async def test_what_failed_is_on_record_with_its_code(api: httpx.AsyncClient) -> None:
    await api.post("/v1/jobs", json={"jobs": []})
    await api.post(f"/v1/jobs/{JOB}/cancel")
    await api.post("/v1/modules", content=b"none", headers={"content-type": "application/wasm"})
    await api.get(f"/v1/jobs/{JOB}")  # reading is not
    entries = await audit(api)
    assert [(entry["action"], entry["target"], entry["outcome"]) for entry in entries] == [
        ("module.push", "", "bad-module"),
        ("job.cancel", JOB, "not-found"),
        ("job.submit", "", "bad-input"),
    ]


async def test_no_secret_is_on_record(api: httpx.AsyncClient) -> None:
    secret = format_token(TokenKind.API, b"s" * 32)
    await api.post(f"/v1/tokens/{secret}/revoke")
    await create(api)
    await api.post("/v1/join-tokens", json={})
    shown = str(await audit(api))
    assert "mvm_api_..." in shown
    assert secret[8:20] not in shown
    assert "mvm_join_" not in shown


async def test_the_log_is_filtered_and_limited_to_the_scope(stand: Stand, api: httpx.AsyncClient) -> None:
    async with stand.client(Role.ADMIN, TEAM) as team:
        mine = await create(team)
        await create(api)
        await stand.clock.advance(1)
        await team.post("/v1/namespaces", json={"name": "lab"})
        seen = await audit(team)
        assert [(entry["action"], entry["outcome"]) for entry in seen] == [
            ("namespace.create", "refused"),
            ("token.create", "done"),
        ]
        assert mine["id"] in seen[1]["target"]
        assert await audit(team, namespace=TEAM) == seen
        assert (await team.get("/v1/audit", params={"namespace": "default"})).status_code == 404
    assert len(await audit(api)) == 3
    assert await audit(api, namespace=TEAM) == seen
    assert len(await audit(api, since_ms=stand.clock.now_ms())) == 1
    me = token_id(digest(api_token(Role.ADMIN)))
    assert [entry["token"] for entry in await audit(api, actor=me)] == [me]
    assert len(await audit(api, actor="admin")) == 3
    assert await audit(api, actor="nobody") == []


async def test_the_log_of_a_namespace_shows_its_tokens_whoever_makes_them(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    made = await create(api, name="ours", namespace=TEAM)
    await api.post(f"/v1/tokens/{made['id']}/revoke")
    async with stand.client(Role.ADMIN, TEAM) as team:
        assert [(entry["action"], entry["target"]) for entry in await audit(team)] == [
            ("token.revoke", f"{made['id']} (ours)"),
            ("token.create", f"{made['id']} (viewer in {TEAM})"),
        ]


async def test_an_entry_that_cannot_be_written_changes_no_answer(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_: object) -> None:
        raise Unavailable("the disk is full")

    monkeypatch.setattr(stand.access, "record", full)
    assert (await create(api))["token"]

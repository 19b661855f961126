"""Modules over the real API: whose they are, what they are called, and what jobs of a name run."""

import asyncio
from typing import Any

import httpx
import pytest

from mvm_ci.domain.ids import Digest
from mvm_ci.domain.role import Role
from mvm_ci.lifecycle.stored_bytes import COUNT_MS
from mvm_ci.ports.access import ALL_NAMESPACES
from mvm_ci.ports.registry import Registry
from tests.integration.control_plane.conftest import MODULE, TEAM, Stand, submit

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)
# Exports run and memory; a custom section after it makes another module.
WASM = b"\0asm\x01\0\0\0\x07\x10\x02\x03run\0\0\x06memory\x02\0"
HEADERS = {"content-type": "application/wasm"}


async def push(api: httpx.AsyncClient, number: int = 0, **query: str) -> Digest:
    data = WASM + b"\0\2\1%d" % number
    answer = await api.post("/v1/modules", content=data, headers=HEADERS, params=query)
    assert answer.status_code == 200, answer.text
    return Digest(answer.json()["digest"])


async def publish(api: httpx.AsyncClient, named: str, digest: str) -> httpx.Response:
    return await api.put(path(named), json={"digest": digest})


def path(named: str) -> str:
    name, _, version = named.partition("@")
    return f"/v1/modules/names/{name}/versions/{version}"


async def module_of(api: httpx.AsyncClient, job: dict[str, Any]) -> str:
    return str((await api.get(f"/v1/jobs/{job['id']}")).json()["module"])


# -------------------------------------------------------------------- whose they are


async def test_a_module_is_there_in_the_namespace_that_pushed_it_and_nowhere_else(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    digest = await push(api, name="secret plan")
    async with stand.client(Role.ADMIN, TEAM) as team:
        listed = (await team.get("/v1/modules")).json()["modules"]
        assert [one["digest"] for one in listed] == [MODULE]
        assert (await team.get("/v1/modules", params={"prefix": digest[:8]})).json() == {"modules": []}
        for module in (digest, "crawl", "crawl@1"):
            refused = await team.post("/v1/jobs", json={"jobs": [{"module": module}]})
            assert (refused.status_code, refused.json()["code"]) == (404, "not-found")
            scheduled = await team.put("/v1/schedules/n", json={"when": "@daily", "job": {"module": module}})
            assert scheduled.status_code == 404
        never = await publish(team, "crawl@1", "f" * 64)
        hidden = await publish(team, "crawl@1", digest)
        assert (hidden.status_code, hidden.text.replace(digest, "")) == (
            404,
            never.text.replace("f" * 64, ""),
        )
        # The same bytes, pushed here, are this namespace's own.
        data = WASM + b"\0\2\1%d" % 0
        own = (await team.post("/v1/modules", content=data, headers=HEADERS)).json()
        assert (own["digest"], own["name"]) == (digest, "")
        await submit(team, module=digest)
    assert len([blob for blob in await stand.blobs.stored(None, 10) if blob.digest == digest]) == 1


async def test_a_deleted_namespace_leaves_no_modules_to_the_next_of_its_name(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    async with stand.client(namespace=TEAM) as team:
        digest = await push(team)
        assert (await publish(team, "crawl@1", digest)).status_code == 200
    assert (await api.delete(f"/v1/namespaces/{TEAM}")).status_code == 200
    assert (await api.post("/v1/namespaces", json={"name": TEAM})).status_code == 200
    in_team = {"x-namespace": TEAM}
    async with stand.client(Role.ADMIN, ALL_NAMESPACES, **in_team) as fresh:
        assert (await fresh.get("/v1/modules")).json() == {"modules": []}
        assert (await fresh.get("/v1/modules/names")).json() == {"versions": []}
        gone = await fresh.post("/v1/jobs", json={"jobs": [{"module": "crawl"}]})
        assert gone.status_code == 404


async def test_the_modules_of_a_namespace_count_for_its_quota_once(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    size = len(WASM + b"\0\2\1%d" % 0)
    assert (await api.put(f"/v1/namespaces/{TEAM}/quota", json={"max_bytes": 2 * size})).status_code == 200
    async with stand.client(Role.ADMIN, TEAM) as team:
        for number in (0, 1, 0, 1):
            await push(team, number)
        for later_ms in (0, COUNT_MS + 1):
            await stand.clock.advance(later_ms)
            data = WASM + b"\0\2\1%d" % 2
            refused = await team.post("/v1/modules", content=data, headers=HEADERS)
            assert (refused.status_code, refused.json()["code"]) == (429, "quota-exceeded")
            assert int(refused.headers["retry-after"]) > 0
            job = await team.post("/v1/jobs", json={"jobs": [{"module": MODULE, "input": "x"}]})
            assert (job.status_code, job.json()["code"]) == (429, "quota-exceeded")
        await push(team, 1)  # a repetition takes no room
    await push(api, 2)


async def test_a_module_that_is_deleted_makes_room_and_its_jobs_go_on(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    size = len(WASM + b"\0\2\1%d" % 0)
    await api.put(f"/v1/namespaces/{TEAM}/quota", json={"max_bytes": size + 9})
    async with stand.client(Role.SUBMITTER, TEAM) as team, stand.client(Role.OPERATOR, TEAM) as operator:
        digest = await push(team)
        await publish(team, "crawl@1", digest)
        assert (await team.delete(f"/v1/modules/{digest}")).status_code == 403
        assert (await api.delete(f"/v1/modules/{digest}")).status_code == 404
        kept = await operator.delete(f"/v1/modules/{digest}")
        assert (kept.status_code, kept.json()["code"]) == (409, "conflict")
        await operator.delete(path("crawl@1"))
        (job,) = await submit(team, module=digest, input=1)
        assert (await operator.delete(f"/v1/modules/{digest}")).json()["digest"] == digest
        assert (await operator.delete(f"/v1/modules/{digest}")).status_code == 404
        gone = await team.post("/v1/jobs", json={"jobs": [{"module": digest}]})
        assert gone.status_code == 404
        worker = await stand.worker()
        await worker.welcome(credit=1)
        (item,) = await worker.assigned()
        assert await stand.blobs.get(item.spec.module)
        await worker.end(item)
        assert (await team.get(f"/v1/jobs/{job['id']}")).json()["state"] == "completed"
        await operator.delete(f"/v1/jobs/{job['id']}")
        await stand.clock.advance(COUNT_MS + 1)
        await push(team, 1)


# -------------------------------------------------------------------- names and versions


async def test_a_version_stands_for_one_module_for_good(stand: Stand, api: httpx.AsyncClient) -> None:
    one, other = await push(api, 1), await push(api, 2)
    first = await publish(api, "crawl@1.0.0+a", one)
    assert first.status_code == 200
    assert first.json() == {
        "name": "crawl",
        "version": "1.0.0+a",
        "digest": one,
        "created_ms": stand.clock.now_ms(),
    }
    await stand.clock.advance(1_000)
    assert (await publish(api, "crawl@1.0.0+a", one)).json() == first.json()
    taken = await publish(api, "crawl@1.0.0+a", other)
    assert (taken.status_code, taken.json()["code"]) == (409, "version-taken")
    assert (await api.get(path("crawl@1.0.0+a"))).json() == first.json()


@pytest.mark.parametrize(
    "named", ["Crawl@1", "-crawl@1", "c/d@1", f"{'a' * 64}@1", "c" * 101 + "@1", "crawl@ 1", "crawl@-1"]
)
async def test_what_is_no_name_or_version_is_refused(
    stand: Stand, api: httpx.AsyncClient, named: str
) -> None:
    name, _, version = named.partition("@")
    quoted = f"/v1/modules/names/{name.replace('/', '%2F')}/versions/{version}"
    answer = await api.put(quoted, json={"digest": MODULE})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad-input")


async def test_names_and_versions_are_listed_page_by_page(stand: Stand, api: httpx.AsyncClient) -> None:
    for name in ("b", "a", "c"):
        for version in ("1", "2", "3"):
            assert (await publish(api, f"{name}@{version}", MODULE)).status_code == 200
    assert (await api.get("/v1/modules/names/b")).json()["version"] == "3"
    seen: list[list[str]] = []
    for listing, key in (("names", "name"), ("names/b/versions", "version")):
        query: dict[str, Any] = {"limit": 2}
        pages = []
        while True:
            page = (await api.get(f"/v1/modules/{listing}", params=query)).json()
            pages.append([one[key] for one in page["versions"]])
            if "cursor" not in page:
                break
            query["cursor"] = page["cursor"]
        seen += pages
    assert seen == [["a", "b"], ["c"], ["3", "2"], ["1"]]
    for missing in ("names/d", "names/d/versions", "names/b/versions/4"):
        assert (await api.get(f"/v1/modules/{missing}")).status_code == 404
    assert (await api.get("/v1/modules/names/b/versions?cursor=b")).status_code == 400


async def test_publishing_is_for_submitters_and_removing_for_operators(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    async with stand.client(Role.VIEWER) as viewer, stand.client(Role.SUBMITTER) as submitter:
        assert (await publish(viewer, "crawl@1", MODULE)).status_code == 403
        assert (await publish(submitter, "crawl@1", MODULE)).status_code == 200
        assert (await viewer.get(path("crawl@1"))).status_code == 200
        assert (await submitter.delete(path("crawl@1"))).status_code == 403
    async with stand.client(Role.OPERATOR, TEAM) as elsewhere, stand.client(Role.OPERATOR) as operator:
        assert (await elsewhere.delete(path("crawl@1"))).status_code == 404
        assert (await operator.delete(path("crawl@1"))).json()["digest"] == MODULE
        assert (await operator.delete(path("crawl@1"))).status_code == 404
    entries = (await api.get("/v1/audit")).json()["entries"]
    done = [(one["action"], one["target"], one["outcome"]) for one in entries if "module" in one["action"]]
    assert ("module.publish", f"crawl@1 {MODULE}", "done") in done
    assert ("module.unpublish", "crawl@1", "done") in done
    assert len([one for one in done if one[2] == "refused"]) == 2


# -------------------------------------------------------------------- jobs of a name


async def test_a_job_is_of_what_its_name_stood_for_when_it_was_submitted(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    old, new = await push(api, 1), await push(api, 2)
    await publish(api, "crawl@1", old)
    (before,) = await submit(api, module="crawl")
    await publish(api, "crawl@2", new)
    after, exact, digest = [(await submit(api, module=asked))[0] for asked in ("crawl", "crawl@1", MODULE)]
    assert [await module_of(api, job) for job in (before, after, exact, digest)] == [old, new, old, MODULE]
    await api.delete(path("crawl@2"))
    (again,) = await submit(api, module="crawl")
    assert await module_of(api, again) == old
    await api.delete(path("crawl@1"))
    gone = await api.post("/v1/jobs", json={"jobs": [{"module": "crawl"}]})
    assert (gone.status_code, "crawl" in gone.json()["detail"]) == (404, True)


async def test_a_worker_fetches_the_module_of_a_job_of_a_name(stand: Stand, api: httpx.AsyncClient) -> None:
    digest = await push(api, 1)
    await publish(api, "crawl@1", digest)
    worker = await stand.worker()
    await worker.welcome(credit=1)
    await submit(api, module="crawl@1")
    (item,) = await worker.assigned()
    assert item.spec.module == digest
    assert await stand.blobs.get(digest) == WASM + b"\0\2\1%d" % 1


async def test_a_repetition_is_one_wherever_the_name_points_meanwhile(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    old, new = await push(api, 1), await push(api, 2)
    await publish(api, "crawl@1", old)
    (first,) = await submit(api, module="crawl", idempotency_key="k")
    await publish(api, "crawl@2", new)
    (second,) = await submit(api, module="crawl", idempotency_key="k")
    assert second["id"] == first["id"]
    await stand.stop()  # what is in memory only is forgotten
    await stand.start()
    async with stand.client() as client:
        (third,) = await submit(client, module="crawl", idempotency_key="k")
        assert third["id"] == first["id"]
        assert await module_of(client, third) == old
        other = {"module": "crawl@2", "input": {"n": 0}, "idempotency_key": "k"}
        reused = await client.post("/v1/jobs", json={"jobs": [other]})
        assert (reused.status_code, reused.json()["code"]) == (409, "key-reused")


async def test_a_schedule_of_a_name_follows_the_newest_version(stand: Stand, api: httpx.AsyncClient) -> None:
    old, new = await push(api, 1), await push(api, 2)
    await publish(api, "crawl@1", old)
    for name, module in (("newest", "crawl"), ("fixed", "crawl@1")):
        put = await api.put(f"/v1/schedules/{name}", json={"when": "@yearly", "job": {"module": module}})
        assert put.json()["job"]["module"] == module
    await publish(api, "crawl@2", new)
    fired = [
        {"id": (await api.post(f"/v1/schedules/{one}/trigger")).json()["job"]} for one in ("newest", "fixed")
    ]
    assert [await module_of(api, job) for job in fired] == [new, old]
    await api.delete(path("crawl@1"))
    gone = await api.post("/v1/schedules/fixed/trigger")
    assert gone.status_code == 404


async def test_a_submission_by_what_is_known_asks_the_store_for_no_module(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(api, "crawl@1", MODULE)
    for module in (MODULE, "crawl", "crawl@1"):
        await submit(api, module=module)

    async def asked(*_: Any) -> Any:
        raise AssertionError("the catalogue was asked")

    registry: Registry = stand.registry
    monkeypatch.setattr(registry, "modules", asked)
    monkeypatch.setattr(registry, "published", asked)
    for module in (MODULE, "crawl", "crawl@1"):
        await submit(api, module=module)


async def test_what_was_looked_up_while_a_version_was_published_is_not_remembered(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = await push(api, 1), await push(api, 2)
    await publish(api, "crawl@1", old)
    go_on, reached = asyncio.Event(), asyncio.Event()
    look = stand.registry.published

    async def slow(*values: Any) -> Any:
        found = await look(*values)
        reached.set()
        await go_on.wait()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(stand.registry, "published", slow)
        submitting = asyncio.ensure_future(submit(api, module="crawl"))
        await asyncio.wait_for(reached.wait(), timeout=60)
    await publish(api, "crawl@2", new)
    go_on.set()
    (early,) = await submitting
    assert await module_of(api, early) == old
    (late,) = await submit(api, module="crawl")
    assert await module_of(api, late) == new

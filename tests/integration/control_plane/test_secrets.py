"""Secrets through the API of a whole control plane, and what its workers are given."""

import json
from typing import Any, Final

import httpx
import msgspec
import pytest

from mvm_ci.control_plane.api.table import ROUTES
from mvm_ci.domain.masking import forms_of
from mvm_ci.domain.module import Manifest, with_manifest
from mvm_ci.domain.outcome import Completed, Failed, Failure, FailureKind, Released
from mvm_ci.domain.role import Role
from mvm_ci.domain.secrets import SecretValue
from mvm_ci.journal.codec import split
from mvm_ci.journal.entries import SecretRead
from mvm_ci.wire import api as wire
from mvm_ci.wire import messages as m
from tests.integration.control_plane.conftest import AT_ONCE, MODULE, TEAM, Stand, submit
from tests.integration.control_plane.test_modules import HEADERS, WASM

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)
VALUE: Final = 'pa$$ "word" ü'
NEWER: Final = "correct horse battery"


async def put(api: httpx.AsyncClient, name: str = "TOKEN", **fields: Any) -> Any:
    answer = await api.put(f"/v1/secrets/{name}", json={"value": VALUE, "modules": ["*"]} | fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def values(item: m.Assignment) -> dict[str, str | None]:
    return {one.name: one.value for one in item.secrets}


# -------------------------------------------------------------------- the routes


async def test_a_secret_is_set_shown_changed_and_removed(stand: Stand, api: httpx.AsyncClient) -> None:
    made = await put(api, modules=["crawl", "crawl", "other@1"])
    assert made == {
        "name": "TOKEN",
        "version": 1,
        "versions": 1,
        "modules": ["crawl", "other@1"],
        "changed_ms": stand.clock.now_ms(),
    }
    await put(api, "ANOTHER", modules=None)
    assert (await api.get("/v1/secrets/TOKEN")).json() == made
    listed = (await api.get("/v1/secrets")).json()["secrets"]
    assert [(one["name"], one["modules"]) for one in listed] == [
        ("ANOTHER", []),
        ("TOKEN", ["crawl", "other@1"]),
    ]
    rotated = await api.post("/v1/secrets/TOKEN/rotate", json={"value": NEWER})
    assert (rotated.json()["version"], rotated.json()["modules"]) == (2, ["crawl", "other@1"])
    allowed = await api.put("/v1/secrets/TOKEN/modules", json={"modules": []})
    assert (allowed.json()["version"], allowed.json()["modules"]) == (2, [])
    assert (await put(api, modules=None))["modules"] == []
    removed = await api.delete("/v1/secrets/TOKEN")
    assert (removed.status_code, removed.json()["version"]) == (200, 3)
    for gone in (
        await api.get("/v1/secrets/TOKEN"),
        await api.delete("/v1/secrets/TOKEN"),
        await api.post("/v1/secrets/TOKEN/rotate", json={"value": NEWER}),
        await api.put("/v1/secrets/TOKEN/modules", json={"modules": []}),
    ):
        assert (gone.status_code, gone.json()["code"]) == (404, "not-found")


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("TOKEN", {"value": "abc"}, "value: 3 characters; a secret has at least 4"),
        ("TOKEN", {"value": "v" * 32_769}, "value: 32769 bytes"),
        ("a b", {"value": VALUE}, "no name of a secret"),
        ("TOKEN", {"value": VALUE, "modules": ["No Module"]}, "modules: 'No Module'"),
        ("TOKEN", {"value": [VALUE]}, "Expected `str`, got `array` - at `$.value`"),
        ("TOKEN", {"value": VALUE, "extra": 1}, "unknown field `extra`"),
        ("TOKEN", {"modules": []}, "missing required field `value`"),
    ],
)
async def test_what_is_wrong_is_said_without_the_value(
    stand: Stand, api: httpx.AsyncClient, name: str, body: Any, says: str
) -> None:
    answer = await api.put(f"/v1/secrets/{name}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad-input")
    assert says in answer.json()["detail"]
    assert VALUE not in answer.json()["detail"]
    assert (await api.get("/v1/secrets")).json() == {"secrets": []}


async def test_only_operators_set_and_see_secrets(stand: Stand, api: httpx.AsyncClient) -> None:
    await put(api)
    routes = [route for route in ROUTES if route.path.startswith("/v1/secrets")]
    assert len(routes) == 6
    for role in Role:
        async with stand.client(role) as client:
            for route in routes:
                if route.method == "DELETE":
                    continue
                path = route.path.replace("{name}", "TOKEN")
                body = {"modules": ["*"]} if path.endswith("modules") else {"value": VALUE}
                answer = await client.request(route.method, path, json=body if route.body else None)
                may = role in {Role.OPERATOR, Role.ADMIN}
                assert answer.status_code == (200 if may else 403), (role, path)
                assert not any(form in answer.content for form in forms_of(VALUE))


async def test_the_audit_log_says_who_changed_what_and_no_value(stand: Stand, api: httpx.AsyncClient) -> None:
    await put(api, modules=["crawl"])
    await api.post("/v1/secrets/TOKEN/rotate", json={"value": NEWER})
    await api.put("/v1/secrets/TOKEN/modules", json={"modules": []})
    await api.put("/v1/secrets/TOKEN", json={"value": "abc"})
    await api.delete("/v1/secrets/TOKEN")
    entries = (await api.get("/v1/audit")).json()["entries"]
    assert [(one["action"], one["target"], one["outcome"]) for one in reversed(entries)] == [
        ("secret.set", "TOKEN (version 1; modules crawl)", "done"),
        ("secret.rotate", "TOKEN (version 2; modules crawl)", "done"),
        ("secret.allow", "TOKEN (version 2; modules none)", "done"),
        ("secret.set", "TOKEN", "bad-input"),
        ("secret.remove", "TOKEN", "done"),
    ]


async def test_no_route_tells_a_value(stand: Stand, api: httpx.AsyncClient) -> None:
    await put(api)
    worker = await stand.worker()
    await worker.welcome(credit=2)
    (job,) = await submit(api, secrets=["TOKEN"])
    (item,) = await worker.assigned()
    assert values(item) == {"TOKEN": VALUE}
    (tail,) = split([SecretRead("TOKEN", 1)], 0)
    failure = Failure(kind=FailureKind.ERROR, message="no")
    await worker.end(item, outcome=Failed(failure), tail=tail)
    await api.put("/v1/schedules/n", json={"when": "@daily", "job": {"module": MODULE, "secrets": ["TOKEN"]}})
    for route in ROUTES:
        if route.method != "GET":
            continue
        path = route.path.replace("{id}", job["id"]).replace("{name}", "TOKEN").replace("{version}", "1")
        answer = await api.get(path, params=AT_ONCE.get(route.path, {}))
        for form in forms_of(VALUE):
            assert form not in answer.content, path
    shown = (await api.get(f"/v1/jobs/{job['id']}")).json()
    assert shown["secrets"] == ["TOKEN"]
    (entry,) = (await api.get(f"/v1/jobs/{job['id']}/journal")).text.splitlines()
    assert json.loads(entry)["fields"] == {"name": "TOKEN", "version": 1}


async def test_a_deleted_namespace_leaves_no_secrets_to_the_next_of_its_name(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    async with stand.client(namespace=TEAM) as team:
        await put(team)
    await put(api)
    assert (await api.delete(f"/v1/namespaces/{TEAM}")).status_code == 200
    assert (await api.post("/v1/namespaces", json={"name": TEAM})).status_code == 200
    in_team = {"x-namespace": TEAM}
    assert (await api.get("/v1/secrets", headers=in_team)).json() == {"secrets": []}
    assert len((await api.get("/v1/secrets")).json()["secrets"]) == 1


# -------------------------------------------------------------------- which jobs get them


async def test_a_job_that_may_not_read_it_is_refused(stand: Stand, api: httpx.AsyncClient) -> None:
    await put(api, modules=["crawl"])

    async def refused(**fields: Any) -> tuple[int, str, str]:
        answer = await api.post("/v1/jobs", json={"jobs": [{"module": MODULE}, {"module": MODULE, **fields}]})
        problem = answer.json()
        return answer.status_code, problem["code"], problem["detail"]

    assert await refused(secrets=["NOBODY"]) == (
        404,
        "not-found",
        "jobs[1].secrets: there is no secret 'NOBODY'; an operator can set it",
    )
    status, code, detail = await refused(secrets=["TOKEN"])
    assert (status, code) == (403, "refused")
    assert f"the secret 'TOKEN' does not allow the module '{MODULE}'" in detail
    assert (await refused(secrets=["a b"]))[:2] == (400, "bad-input")
    assert "names a secret twice" in (await refused(secrets=["TOKEN", "TOKEN"]))[2]
    assert (await api.get("/v1/jobs")).json()["jobs"] == [], "none of the request's jobs is there"
    await put(api, modules=[MODULE])
    await submit(api, secrets=["TOKEN"])
    async with stand.client(Role.SUBMITTER, TEAM) as team:
        answer = await team.post("/v1/jobs", json={"jobs": [{"module": MODULE, "secrets": ["TOKEN"]}]})
        assert answer.status_code == 404, "it is another namespace's"


async def test_a_published_name_is_allowed_with_all_its_versions(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    await api.put("/v1/modules/names/crawl/versions/1", json={"digest": MODULE})
    await put(api, modules=["crawl"])
    await put(api, "PINNED", modules=["crawl@1"])
    for module, secrets, status in (
        ("crawl", ["TOKEN"], 200),
        ("crawl@1", ["TOKEN", "PINNED"], 200),
        ("crawl", ["PINNED"], 403),
        (MODULE, ["TOKEN"], 403),
    ):
        answer = await api.post("/v1/jobs", json={"jobs": [{"module": module, "secrets": secrets}]})
        assert answer.status_code == status, (module, secrets)


async def test_a_module_s_manifest_names_them_and_a_submission_replaces_its_list(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    data = with_manifest(WASM, Manifest(name="asks", secrets=("TOKEN", "OTHER")))
    pushed = (await api.post("/v1/modules", content=data, headers=HEADERS)).json()
    assert pushed["secrets"] == ["TOKEN", "OTHER"]
    answer = await api.post("/v1/jobs", json={"jobs": [{"module": pushed["digest"]}]})
    assert "there is no secret 'TOKEN'" in answer.json()["detail"]
    await put(api)
    await put(api, "OTHER")
    worker = await stand.worker()
    await worker.welcome(credit=3)
    await submit(api, module=pushed["digest"])
    await submit(api, module=pushed["digest"], secrets=["OTHER"])
    await submit(api, module=pushed["digest"], secrets=[])
    # One without secrets need not wait until they are looked up: it may come before the others.
    items = sorted(await worker.assigned(3), key=lambda item: item.placed.job)
    assert [sorted(values(item)) for item in items] == [["OTHER", "TOKEN"], ["OTHER"], []]
    bad = with_manifest(WASM, Manifest(name="asks", secrets=("a b",)))
    refused = await api.post("/v1/modules", content=bad, headers=HEADERS)
    assert (refused.status_code, refused.json()["code"]) == (422, "bad-module")


async def test_only_the_worker_that_has_the_job_is_given_its_secrets(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    await put(api)
    one, two = await stand.worker(), await stand.worker()
    await one.welcome(credit=1)
    await two.welcome()
    await submit(api, secrets=["TOKEN"])
    (item,) = await one.assigned()
    assert item.secrets == (SecretValue("TOKEN", 1, VALUE, item.secrets[0].digest_key),)
    assert len(item.secrets[0].digest_key) == 32
    await two.send(m.Credit(1))
    await submit(api)
    (other,) = await two.assigned()
    assert other.secrets == ()
    assert VALUE not in repr((one.received, two.received, item))


async def test_the_next_worker_is_given_the_version_that_was_read(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    await put(api)
    await put(api, "OTHER")
    first, second = await stand.worker(), await stand.worker()
    await first.welcome(credit=1)
    (job,) = await submit(api, secrets=["TOKEN", "OTHER"])
    (item,) = await first.assigned()
    (segment,) = split([SecretRead("TOKEN", 1)], 0)
    await first.append(item.placed, segment)
    for name in ("TOKEN", "OTHER"):
        rotated = await api.post(f"/v1/secrets/{name}/rotate", json={"value": NEWER})
        assert rotated.json()["versions"] == 2, "kept: a job may have read it"
    await second.welcome(credit=1)
    await first.end(item, outcome=Released())
    (again,) = await second.assigned()
    assert again.placed.job == item.placed.job
    assert values(again) == {"TOKEN": VALUE, "OTHER": NEWER}
    assert again.secrets[0].digest_key == item.secrets[0].digest_key
    # In use: it stays. Then the job ends.
    in_use = await api.delete("/v1/secrets/TOKEN")
    assert (in_use.status_code, in_use.json()["code"]) == (409, "conflict")
    await second.end(again, outcome=Completed(b"1"))
    assert (await api.get(f"/v1/jobs/{job['id']}", params={"wait_s": 5})).json()["state"] == "completed"
    assert (await api.delete("/v1/secrets/TOKEN")).status_code == 200


async def test_secrets_outlive_a_restart(stand: Stand, api: httpx.AsyncClient) -> None:
    await put(api)
    await submit(api, secrets=["TOKEN"])
    await stand.stop()
    await stand.start()
    worker = await stand.worker()
    await worker.welcome(credit=1)
    (item,) = await worker.assigned()
    assert values(item) == {"TOKEN": VALUE}


async def test_a_schedule_s_jobs_are_checked_at_each_fire(stand: Stand, api: httpx.AsyncClient) -> None:
    await put(api)
    job = {"module": MODULE, "secrets": ["TOKEN"]}
    assert (await api.put("/v1/schedules/n", json={"when": "every 1m", "job": job})).status_code == 200
    fired = await api.post("/v1/schedules/n/trigger")
    assert fired.status_code == 200, fired.text
    await api.put("/v1/secrets/TOKEN/modules", json={"modules": []})
    refused = await api.post("/v1/schedules/n/trigger")
    assert (refused.status_code, refused.json()["code"]) == (403, "refused")


def test_a_request_with_a_value_does_not_show_it(stand: Stand) -> None:
    for body in (wire.SetSecret(value=VALUE, modules=("*",)), wire.RotateSecret(value=VALUE)):
        assert VALUE not in repr(body)
        assert body.__rich_repr__() == []
        assert json.loads(msgspec.json.encode(body))["value"] == VALUE

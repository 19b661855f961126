"""Every route, asked by the administrator of one namespace for what another one holds: it is not there."""

import re
from hashlib import sha256
from typing import Any, Final

import httpx
import pytest

from mvm_ci.control_plane.api.routes import BYTES, Route
from mvm_ci.control_plane.api.table import ROUTES
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.namespace import DEFAULT_NAMESPACE
from mvm_ci.domain.role import Role
from mvm_ci.journal.codec import split
from mvm_ci.journal.entries import Logged
from mvm_ci.ports.catalogue import ModuleInfo
from tests.integration.control_plane.conftest import MODULE, TEAM, Stand, submit

MARK: Final = "classified"
"""In everything that the other namespace has."""
HIDDEN: Final = Digest("b" * 64)
"""A module that only the other namespace holds."""
UPLOADED: Final = Digest(sha256(MARK.encode()).hexdigest())
"""What only the other namespace has uploaded."""
SHARED: Final = {"/v1/workers/{id}": "a fleet works for all namespaces"}
"""Routes by whose id or name everybody sees the same."""
OWN: Final = {
    ("PUT", "/v1/schedules/{name}"): "makes one's own schedule of that name",
    ("POST", "/v1/queues/{name}/pause"): "a queue of that name in one's own namespace",
    ("POST", "/v1/queues/{name}/resume"): "the same",
    ("PUT", "/v1/modules/names/{name}/versions/{version}"): "publishes one's own module under that name",
    ("PUT", "/v1/secrets/{name}"): "makes one's own secret of that name",
}
"""Routes that act on an object of the caller's of the same name."""
BODIES: Final[dict[tuple[str, str], Any]] = {
    ("PUT", "/v1/schedules/{name}"): {"when": "0 5 * * *", "job": {"module": MODULE}},
    ("POST", "/v1/schedules/{name}/backfill"): {"from_ms": 0, "to_ms": 86_400_000},
    ("PUT", "/v1/modules/names/{name}/versions/{version}"): {"digest": MODULE},
    ("PUT", "/v1/secrets/{name}"): {"value": "one's own"},
    ("POST", "/v1/secrets/{name}/rotate"): {"value": "another's"},
    ("PUT", "/v1/secrets/{name}/modules"): {"modules": ["*"]},
    ("POST", "/v1/tokens"): {"name": "own", "role": "viewer"},
}
AT_ONCE: Final = {"/v1/jobs/{id}/wait": {"timeout_s": 0}, "/v1/events": {"follow": 0, "after": 0}}
"""How to ask so that the answer does not wait."""
ASKED: Final = [route for route in ROUTES if route.role is not None]


class Other:
    """What the namespace ``default`` holds: ``names`` by what stands in paths before them."""

    def __init__(self, api: httpx.AsyncClient, jobs: list[str], names: dict[str, str]) -> None:
        self.api = api
        self.jobs = jobs
        self.names = names

    async def state(self) -> list[Any]:
        """All of it, as its own administrator sees it."""
        paths = ["/v1/jobs", "/v1/schedules", "/v1/secrets", "/v1/queues", "/v1/audit?namespace=default"]
        paths += ["/v1/modules", "/v1/modules/names", f"/v1/modules/names/{MARK}/versions"]
        paths += [
            f"/v1/jobs/{job}/{part}" for job in self.jobs for part in ("", "journal", "explain", "artifacts")
        ]
        seen = [(await self.api.get(path.rstrip("/"))).text for path in paths]
        tokens = (await self.api.get("/v1/tokens")).json()["tokens"]
        return [*seen, [token for token in tokens if token["name"] == MARK]]


async def filled(stand: Stand, api: httpx.AsyncClient) -> Other:
    mine = ModuleInfo(digest=HIDDEN, name=MARK, kind="core", size=0, created_ms=1)
    await stand.registry.put_module(DEFAULT_NAMESPACE, mine)
    published = await api.put(f"/v1/modules/names/{MARK}/versions/{MARK}", json={"digest": mine.digest})
    assert published.status_code == 200, published.text
    worker = await stand.worker()
    await worker.welcome(credit=1)
    options: dict[str, Any] = {
        "name": MARK,
        "queue": MARK,
        "tags": [MARK],
        "metadata": {MARK: MARK},
        "input": MARK,
        "concurrency": {"key": MARK, "limit": 1},
    }
    octets = {"content-type": "application/octet-stream"}
    put = await api.put(f"/v1/artifacts/{UPLOADED}", content=MARK.encode(), headers=octets)
    assert put.status_code == 200, put.text
    request = {"module": f"{MARK}@{MARK}", **options}
    given = {**request, "idempotency_key": MARK, "inputs": {MARK: UPLOADED}}
    made = [await api.post("/v1/jobs", json={"jobs": [given]})]
    (item,) = await worker.assigned()
    (tail,) = split([Logged("stdout", MARK, 7)], 0)
    await worker.end(item, tail=tail)
    made.append(await api.post("/v1/jobs", json={"jobs": [request]}))
    jobs = [answer.json()["jobs"][0]["id"] for answer in made]
    secret = {"value": MARK, "modules": [MARK]}
    assert (await api.put(f"/v1/secrets/{MARK}", json=secret)).status_code == 200
    put = await api.put(f"/v1/schedules/{MARK}", json={"when": "0 4 * * *", "job": request})
    assert put.status_code == 200, put.text
    assert (await api.post(f"/v1/queues/{MARK}/pause")).status_code == 200
    token = await api.post("/v1/tokens", json={"name": MARK, "role": "viewer", "namespace": "default"})
    return Other(
        api,
        jobs,
        {
            "schedules": MARK,
            "queues": MARK,
            "secrets": MARK,
            "modules": MARK,
            "artifacts": MARK,
            "namespaces": "default",
            "workers": worker.endpoint.id,
            "tokens": token.json()["id"],
            "join-tokens": "jt1",
        },
    )


def requests_of(route: Route, other: Other) -> list[tuple[str, Any]]:
    """Paths and bodies."""
    kind = route.path.removeprefix("/v1").split("/")[1]
    names = other.jobs if kind == "jobs" else [other.names[kind]] if "{" in route.path else [""]
    path = route.path.replace("{digest}", UPLOADED if kind == "artifacts" else HIDDEN)
    path = path.replace("/artifacts/{name}", f"/artifacts/{MARK}")
    paths = [re.sub(r"{\w+}", name, path) for name in names]
    if route.path == "/v1/messages":
        return [(route.path, {"to": to, "body": MARK}) for to in (*other.jobs, MARK)]
    if route.path == "/v1/jobs" and route.method == "POST":
        after = [{"job": job} for job in other.jobs]
        return [("/v1/jobs", {"jobs": [{"module": MODULE, "after": after}]})]
    if route.path == "/v1/messages":
        return [(route.path, {"to": to}) for to in (*other.jobs, MARK)]
    if route.path == "/v1/jobs/{id}/fork":
        return [(path, {"at": 1}) for path in paths]
    if route.body is not None and kind == "jobs":
        filters: list[dict[str, Any]] = [{"ids": other.jobs}, {"filter": {}}, {"filter": {"queue": MARK}}]
        return [(route.path, {**which, "dry_run": dry}) for which in filters for dry in (True, False)]
    return [(path, BODIES.get(key(route))) for path in paths]


@pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)
@pytest.mark.parametrize("route", ASKED, ids=lambda route: f"{route.method} {route.path}")
async def test_nothing_of_another_namespace_is_seen_or_touched(
    stand: Stand, api: httpx.AsyncClient, route: Route
) -> None:
    other = await filled(stand, api)
    before = await other.state()
    async with stand.client(Role.ADMIN, TEAM) as outsider:
        for path, body in requests_of(route, other):
            query = AT_ONCE.get(route.path, {})
            answer = await outsider.request(route.method, path, json=body, params=query)
            if route.everywhere:
                assert answer.status_code == 403
            elif route.body is not None and BYTES in route.body.media:
                assert answer.status_code == 415  # the body is no module, and no upload
            elif hidden(route):
                assert answer.status_code == 404, answer.text
            else:
                assert answer.status_code == 200, answer.text
                shown = named(answer.text, MARK) if key(route) in OWN else answer.text
                assert MARK not in shown
                assert not any(job in shown for job in other.jobs)
    assert await other.state() == before


def named(text: str, name: str) -> str:
    """An answer without the name and version that the caller has chosen."""
    return text.replace(f'"name":"{name}"', "").replace(f'"version":"{name}"', "")


def key(route: Route) -> tuple[str, str]:
    return route.method, route.path


def hidden(route: Route) -> bool:
    """Whether the route asks for something that only the other namespace has."""
    if route.path in {"/v1/jobs", "/v1/messages"}:
        return route.method == "POST"
    if route.path == "/v1/messages":
        return True
    return "{" in route.path and route.path not in SHARED and key(route) not in OWN


def test_the_exceptions_are_routes() -> None:
    known = {key(route) for route in ROUTES}
    assert known >= set(OWN)
    assert {path for _, path in known} >= set(SHARED)


@pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)
async def test_keys_of_two_namespaces_are_two_keys(stand: Stand, api: httpx.AsyncClient) -> None:
    other = await filled(stand, api)
    key: dict[str, Any] = {"idempotency_key": MARK, "concurrency": {"key": MARK, "limit": 1}}
    async with stand.client(Role.SUBMITTER, TEAM) as team:
        # In ``default`` the idempotency key stands for another request, and a job holds the other key.
        (job,) = await submit(
            team, **{**key, "concurrency": {**key["concurrency"], "excess": "cancel-older"}}
        )
        assert job["id"] not in other.jobs
        worker = await stand.worker()
        await worker.welcome(credit=1)
        (item,) = await worker.assigned()
        await worker.end(item)
        assert (await team.get(f"/v1/jobs/{job['id']}")).json()["state"] == "completed"
    assert (await api.get(f"/v1/jobs/{other.jobs[1]}")).json()["state"] == "pending"

"""The API itself: tokens, errors, limits, streams, its own description."""

import asyncio
import json
from contextlib import closing
from typing import Any

import httpx
import msgspec
import pytest
from blockbuster import BlockBuster

from mvm_ci.control_plane.api.table import ROUTES
from mvm_ci.domain.errors import Misconfigured
from mvm_ci.domain.outcome import Failed, Failure, FailureKind
from mvm_ci.domain.role import Role
from mvm_ci.domain.tokens import TokenKind, format_token
from mvm_ci.journal.codec import split
from mvm_ci.journal.entries import ClockRead, Entry, Logged
from mvm_ci.serving.server import listen
from mvm_ci.testing.clock import settle
from mvm_ci.wire import messages as m
from mvm_ci.wire.api import MAX_BODY, Problem
from tests.integration.control_plane.conftest import AT_ONCE, MODULE, Stand, submit

JOB = "j0000000000000"
WASM = (
    b"\0asm\x01\0\0\0"  # header
    b"\x01\x04\x01\x60\0\0"  # type () -> ()
    b"\x03\x02\x01\0"  # one function
    b"\x05\x03\x01\0\x01"  # one memory
    b"\x07\x10\x02\x03run\0\0\x06memory\x02\0"  # exports
    b"\x0a\x04\x01\x02\0\x0b"  # its code
)


def problem(answer: httpx.Response) -> Problem:
    assert answer.headers["content-type"] == "application/problem+json"
    found = msgspec.json.decode(answer.content, type=Problem)
    assert found.status == answer.status_code
    assert found.type == f"urn:mvm-ci:error:{found.code}"
    assert found.title
    return found


@pytest.mark.parametrize(
    "route", [r for r in ROUTES if r.role], ids=lambda route: f"{route.method} {route.path}"
)
async def test_every_route_asks_for_a_token_with_its_role(stand: Stand, route: Any) -> None:
    path = route.path.replace("{id}", JOB).replace("{name}", "nightly")
    unknown = format_token(TokenKind.API, b"?" * 32)
    for header in (None, "Bearer", "Basic eDp5", f"Bearer {unknown}", "Bearer mvm_api_short"):
        async with httpx.AsyncClient(base_url=stand.plane.api_url, trust_env=False) as nobody:
            headers = {"authorization": header} if header else {}
            answer = await nobody.request(route.method, path, headers=headers)
            assert problem(answer).code == "refused"
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert unknown not in answer.text
    for role in Role:
        async with stand.client(role) as client:
            answer = await client.request(route.method, path, params=AT_ONCE.get(route.path, {}))
            assert (answer.status_code == 403) == (not role.includes(route.role)), role


async def test_health_needs_no_token(stand: Stand) -> None:
    async with httpx.AsyncClient(base_url=stand.plane.api_url, trust_env=False) as nobody:
        assert (await nobody.get("/livez")).json() == {"status": "live"}
        assert (await nobody.get("/readyz")).json() == {"status": "ready"}
        stand.plane.services.waiters.close()
        assert problem(await nobody.get("/readyz")).code == "unavailable"


async def test_unknown_paths_and_methods(api: httpx.AsyncClient) -> None:
    for path in ("/", "/v1/job", "/v1/jobs/", f"/v1/jobs/{JOB}/nothing", "/v1/jobs/a/b/c"):
        answer = await api.get(path)
        assert (answer.status_code, problem(answer).code) == (404, "not-found")
    answer = await api.delete("/v1/jobs")
    assert (answer.status_code, problem(answer).code) == (405, "bad-input")
    assert answer.headers["allow"] == "GET, POST"


@pytest.mark.parametrize("media", [None, "text/plain", "application/x-www-form-urlencoded"])
async def test_another_media_type_is_refused(api: httpx.AsyncClient, media: str | None) -> None:
    headers = {"content-type": media} if media else {}
    answer = await api.post("/v1/jobs", content=b"{}", headers=headers)
    assert (answer.status_code, problem(answer).code) == (415, "bad-input")


BAD = [
    (b"{", "truncated"),
    (b'{"jobs": [}', "malformed"),
    (b"\xff", "not JSON"),
    (b'{"jobs": [{"module": "a", "input": ' + b"[" * 100_000, "not JSON"),
    (b'{"jobs": [{"module": 1}]}', "`$.jobs[0].module`"),
    (b'{"jobs": [{"module": "a", "extra": 1}]}', "extra"),
    (b'{"jobs": []}', "at least one job"),
    (b'{"jobs": [], "wait_s": 61}', "wait_s"),
    (b'{"jobs": [{"module": "%s", "timeout_s": 0}]}', "jobs[0].timeout_s"),
    (b'{"jobs": [{"module": "%s"}, {"module": "%s", "max_attempts": 0}]}', "jobs[1].max_attempts"),
    (b'{"jobs": [{"module": "%s", "memory_mb": 99999}]}', "jobs[0].memory_mb"),
    (b'{"jobs": [{"module": "%s", "allow_hosts": ["a b"]}]}', "jobs[0].allow_hosts"),
    (b'{"jobs": [{"module": "%s", "name": "a\\nb"}]}', "jobs[0].name"),
]


@pytest.mark.parametrize(("body", "says"), BAD)
async def test_what_is_wrong_is_said_and_where(api: httpx.AsyncClient, body: bytes, says: str) -> None:
    body = body.replace(b"%s", MODULE.encode())
    answer = await api.post(
        "/v1/jobs", content=body, headers={"content-type": "application/json; charset=utf-8"}
    )
    found = problem(answer)
    assert (found.status, found.code) == (400, "bad-input")
    assert says in found.detail
    assert len(found.detail) < 500


async def test_an_unknown_module_is_named(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/jobs", json={"jobs": [{"module": MODULE}, {"module": "b" * 64}]})
    assert (answer.status_code, problem(answer).code) == (404, "not-found")
    assert "jobs[1].module" in answer.text


async def test_too_much_is_refused_while_it_is_read(api: httpx.AsyncClient) -> None:
    async def chunks() -> Any:
        for _ in range(9):
            yield b" " * (1 << 20)

    for content in (b" " * (MAX_BODY + 1), chunks()):
        answer = await api.post("/v1/jobs", content=content, headers={"content-type": "application/json"})
        assert (answer.status_code, problem(answer).code) == (413, "too-large")
    large = {"module": MODULE, "input": "x" * (1 << 20)}
    assert problem(await api.post("/v1/jobs", json={"jobs": [large]})).code == "too-large"
    many = await api.post("/v1/jobs", json={"jobs": [{"module": MODULE}] * 10_001})
    assert (many.status_code, problem(many).code) == (413, "too-large")


async def test_query_parameters_are_checked(api: httpx.AsyncClient) -> None:
    bad = {
        "/v1/jobs?limit=0": "limit",
        "/v1/jobs?limit=x": "limit",
        "/v1/jobs?limit=1&limit=2": "twice",
        "/v1/jobs?state=odd": "state",
        "/v1/jobs?cursor=odd": "cursor",
        "/v1/jobs?prefix=x": "prefix",
        "/v1/jobs?other=1": "other",
        "/v1/jobs?%ff": "malformed",
        "/v1/modules?prefix=xyz": "prefix",
        f"/v1/jobs/{JOB}/wait?timeout_s=nan": "timeout_s",
        f"/v1/jobs/{JOB}/logs?follow=maybe": "follow",
        "/v1/jobs/short": "id",
    }
    for path, says in bad.items():
        answer = await api.get(path)
        assert (answer.status_code, problem(answer).code) == (400, "bad-input"), path
        assert says in answer.text


async def test_what_is_not_there(api: httpx.AsyncClient) -> None:
    for path in ("", "/wait", "/result", "/logs", "/journal"):
        assert problem(await api.get(f"/v1/jobs/{JOB}{path}")).code == "not-found"
    for path in (f"jobs/{JOB}/cancel", "workers/none/drain", "workers/none/revoke"):
        assert problem(await api.post(f"/v1/{path}")).code == "not-found"


async def test_an_unexpected_error_says_nothing_of_the_inside(
    stand: Stand,
    api: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    no_blocking_calls: BlockBuster,
) -> None:
    no_blocking_calls.deactivate()  # a traceback in the log shows source lines: it reads files

    def fail() -> None:
        raise RuntimeError("secret inside")

    monkeypatch.setattr(stand.queue, "counts", fail)
    answer = await api.get("/v1/status")
    assert (answer.status_code, problem(answer).code) == (500, "error")
    assert "secret" not in answer.text


async def test_modules_are_checked_and_found(api: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/wasm"}
    bad = await api.post("/v1/modules", content=b"no module", headers=headers)
    assert (bad.status_code, problem(bad).code) == (422, "bad-module")
    good = await api.post("/v1/modules", params={"name": "mine"}, content=WASM, headers=headers)
    assert (good.status_code, good.json()["name"], good.json()["kind"]) == (200, "mine", "core")
    again = await api.post("/v1/modules", params={"name": "other"}, content=WASM, headers=headers)
    assert again.json() == good.json()
    found = await api.get("/v1/modules", params={"prefix": good.json()["digest"][:8].upper()})
    assert found.json()["modules"] == [good.json()]
    assert len((await api.get("/v1/modules")).json()["modules"]) == 2


async def test_status_and_ticket(stand: Stand, api: httpx.AsyncClient) -> None:
    await (await stand.worker()).welcome()
    await submit(api, 2)
    status = (await api.get("/v1/status")).json()
    assert (status["jobs"], status["workers"], status["connected"], status["slots"]) == (
        {"pending": 2},
        1,
        1,
        4,
    )
    assert (await api.get("/v1/ticket")).json() == {"ticket": stand.endpoint.ticket()}


async def test_the_openapi_document_describes_every_route(api: httpx.AsyncClient) -> None:
    document = (await api.get("/openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(route.method, route.path) for route in ROUTES} | {("GET", "/openapi.json")}
    text = json.dumps(document)
    for name in {ref.split('"')[0] for ref in text.split("#/components/schemas/")[1:]}:
        assert name in document["components"]["schemas"]
    operations = [op for methods in document["paths"].values() for op in methods.values()]
    assert len({op["operationId"] for op in operations}) == len(operations)
    assert all("200" in op["responses"] and "500" in op["responses"] for op in operations)


async def test_logs_are_followed_across_attempts_workers_and_reconnects(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    def logged(first: int, *texts: str) -> Any:
        entries: list[Entry] = [
            ClockRead(wall=True, value_ns=1),
            *(Logged("stdout", text, 7) for text in texts),
        ]
        (segment,) = split(entries, first)
        return segment

    worker = await stand.worker()
    await worker.welcome(credit=1)
    await worker.beat()
    (job,) = await submit(api, max_attempts=2)
    (item,) = await worker.assigned()
    lines: list[Any] = []

    async def read() -> None:
        async with api.stream("GET", f"/v1/jobs/{job['id']}/logs", params={"follow": 1}) as answer:
            async for line in answer.aiter_lines():
                lines.append(json.loads(line))  # noqa: PERF401 (each as it comes)

    async def until(count: int) -> None:
        async with asyncio.timeout(10):
            while len(lines) < count:
                await settle()

    reading = asyncio.create_task(read())
    await worker.append(item.placed, logged(0, "one"))
    await until(1)
    worker.connection.cut()  # type: ignore[attr-defined] # a fault of the network in memory
    await worker.welcome(running=(item.placed,))
    await worker.append(item.placed, logged(2, "two"))
    await until(2)
    failed = Failed(Failure(kind=FailureKind.ERROR, message="again"))
    await worker.end(item, outcome=failed, tail=logged(4, "three"))
    await until(3)
    await stand.clock.advance(500)
    await worker.send(m.Credit(1))
    (again,) = await worker.assigned()
    await worker.end(again, tail=logged(0, "four", "five"))
    async with asyncio.timeout(10):
        await reading
    seen = [(line["attempt"], line["index"], line["text"]) for line in lines]
    assert seen == [(1, 1, "one"), (1, 3, "two"), (1, 5, "three"), (2, 1, "four"), (2, 2, "five")]
    rest = await api.get(f"/v1/jobs/{job['id']}/logs", params={"attempt": 1, "from": 4})
    assert [json.loads(line)["text"] for line in rest.text.splitlines()] == ["three", "four", "five"]
    answer = await api.get(f"/v1/jobs/{job['id']}/journal", params={"attempt": 1, "from": 4})
    journal = [json.loads(line) for line in answer.text.splitlines()]
    assert [entry["index"] for entry in journal] == [4, 5]
    assert journal[1]["fields"] == {"stream": "stdout", "text": "three", "at_ms": 7}
    assert len(stand.plane.services.waiters) == 0


async def test_a_reader_that_leaves_is_forgotten(stand: Stand, api: httpx.AsyncClient) -> None:
    (job,) = await submit(api)
    waiters = stand.plane.services.waiters
    async with asyncio.timeout(10):
        reading = asyncio.create_task(api.get(f"/v1/jobs/{job['id']}/logs", params={"follow": 1}))
        while not len(waiters):
            await settle()
        reading.cancel()
        while len(waiters):
            await settle()


async def test_a_stop_ends_waits_and_streams(stand: Stand, api: httpx.AsyncClient) -> None:
    (job,) = await submit(api)
    waiting = asyncio.create_task(api.get(f"/v1/jobs/{job['id']}/wait"))
    reading = asyncio.create_task(api.get(f"/v1/jobs/{job['id']}/logs", params={"follow": 1}))
    async with asyncio.timeout(10):
        while len(stand.plane.services.waiters) < 2:
            await settle()
        await stand.plane.stop()
        assert (await waiting).json()["state"] == "pending"
        assert (await reading).text == ""


async def test_a_port_in_use_is_named() -> None:
    with closing(await listen("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Misconfigured, match=rf"127\.0\.0\.1:{port}: Address already in use"):
            await listen("127.0.0.1", port)
    with pytest.raises(Misconfigured, match=r"nowhere\.invalid"):
        await listen("nowhere.invalid", 0)

"""Promises over HTTP: who has the token completes one, once, and nobody else learns that it is there."""

import asyncio
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from mvm_ci.domain.mail import NEVER_MS
from mvm_ci.domain.outcome import FailureKind, Stopped, Suspended
from mvm_ci.domain.role import Role
from mvm_ci.ports.mail import Letter
from mvm_ci.wire import messages as m
from mvm_ci.wire.api import MAX_MAIL_BODY
from tests.integration.control_plane.conftest import TEAM, Stand, api_token
from tests.integration.control_plane.families import running, state
from tests.integration.control_plane.scripted_worker import ScriptedWorker

pytestmark = pytest.mark.parametrize("stand", ["memory", "sqlite"], indirect=True)
TOKEN = "a-token-that-only-the-guest-knows"


async def opened(worker: ScriptedWorker, item: m.Assignment, *, call: int = 0, token: str = TOKEN) -> str:
    """The id of a promise that a guest makes."""
    asked = {"label": "approve it", "digest": sha256(token.encode()).hexdigest()}
    answer = await worker.ask(item.placed, "promise.create", asked, call=call)
    return str(answer["ok"]["promise"])


async def complete(
    stand: Stand, promise: str, body: Any = None, *, token: str | None = TOKEN, **headers: str
) -> httpx.Response:
    """By somebody who has nothing but the token."""
    if token is not None:
        headers = {"authorization": f"Bearer {token}", **headers}
    async with httpx.AsyncClient(base_url=stand.plane.api_url, trust_env=False, timeout=20) as outside:
        given = {"value": 1} if body is None else body
        return await outside.post(f"/v1/promises/{promise}", json=given, headers=headers)


async def said(stand: Stand, item: m.Assignment, promise: str) -> list[tuple[Any, Any]]:
    pieces = await stand.mail.mail(item.placed.job, (f"promise:{promise}",), 9)
    return [(piece.body, piece.failure) for piece in pieces]


async def test_a_promise_is_completed_with_its_token_and_its_guest_has_the_value(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, item, _ = await running(stand, api)
    asked = {"label": "approve it", "digest": sha256(TOKEN.encode()).hexdigest()}
    made = await worker.ask(item.placed, "promise.create", asked)
    promise, url = made["ok"]["promise"], made["ok"]["url"]
    assert url == f"{stand.plane.api_url}/v1/promises/{promise}"
    await worker.wait_for_mail(item.placed, f"promise:{promise}")
    answer = await complete(stand, promise, {"value": {"approved": True}})
    assert (answer.status_code, answer.json()) == (200, {"id": promise, "label": "approve it"})
    assert await worker.mail() == [(f"promise:{promise}", b'{"approved":true}')]


async def test_a_promise_wakes_its_suspended_job(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, _ = await running(stand, api)
    promise = await opened(worker, item)
    await worker.end(item, outcome=Suspended(NEVER_MS, (f"promise:{promise}",)), credit=1)
    assert (await complete(stand, promise)).status_code == 200
    (again,) = await worker.assigned()
    assert again.placed.epoch == 2


async def test_a_promise_that_cannot_be_kept_says_why(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, _ = await running(stand, api)
    promise = await opened(worker, item)
    assert (await complete(stand, promise, {"error": "nobody was there" * 1_000})).status_code == 200
    ((body, failure),) = await said(stand, item, promise)
    assert body is None
    assert (failure.kind, failure.message[:16]) == (FailureKind.PROMISE, "nobody was there")
    assert len(failure.message) == 4_096


@pytest.mark.parametrize(
    "token",
    ["another token", TOKEN[:-1], TOKEN + "x", "d" * 64, sha256(TOKEN.encode()).hexdigest(), "\xe4"],
)
async def test_a_wrong_token_and_an_unknown_promise_are_answered_alike(
    stand: Stand, api: httpx.AsyncClient, token: str
) -> None:
    worker, item, _ = await running(stand, api)
    promise = await opened(worker, item)
    raw = [(b"authorization", f"Bearer {token}".encode("latin-1"))]
    async with httpx.AsyncClient(base_url=stand.plane.api_url, trust_env=False, timeout=20) as outside:
        answers = [
            await outside.post(f"/v1/promises/{one}", json={"value": 1}, headers=raw)
            for one in (promise, "j0000000000001-1-0", "nonsense")
        ]
    assert {answer.status_code for answer in answers} == {403}
    assert len({answer.text for answer in answers}) == 1
    assert await said(stand, item, promise) == []
    assert (await complete(stand, promise)).status_code == 200, "it is still open"


async def test_no_token_of_the_api_completes_a_promise(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, _ = await running(stand, api)
    promise = await opened(worker, item)
    assert (await complete(stand, promise, token=api_token(Role.ADMIN))).status_code == 403
    assert (await complete(stand, promise, token=None)).status_code == 401
    assert (await complete(stand, promise, token=None, authorization=f"Basic {TOKEN}")).status_code == 401
    for method in ("GET", "PUT", "DELETE"):
        assert (await api.request(method, f"/v1/promises/{promise}")).status_code == 405


async def test_the_token_of_one_promise_completes_no_other(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, _ = await running(stand, api)
    one = await opened(worker, item)
    two = await opened(worker, item, call=1, token="another")
    assert (await complete(stand, two)).status_code == 403
    assert (await complete(stand, one, token="another")).status_code == 403
    assert (await complete(stand, two, token="another")).status_code == 200


async def test_a_promise_is_completed_once_however_many_try(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, _ = await running(stand, api)
    promise = await opened(worker, item)
    answers = await asyncio.gather(*(complete(stand, promise, {"value": n}) for n in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9
    assert len(await said(stand, item, promise)) == 1


async def test_asked_for_again_it_is_the_same_promise(stand: Stand, api: httpx.AsyncClient) -> None:
    worker, item, _ = await running(stand, api)
    promise = await opened(worker, item)
    assert (await complete(stand, promise)).status_code == 200
    await worker.welcome(running=(item.placed,))
    assert await opened(worker, item) == promise
    assert (await complete(stand, promise)).status_code == 409, "it was kept"


async def test_a_promise_of_a_job_that_has_ended_is_not_completed(
    stand: Stand, api: httpx.AsyncClient
) -> None:
    worker, item, job = await running(stand, api)
    promise = await opened(worker, item)
    await api.post(f"/v1/jobs/{job}/cancel")
    await worker.end(item, outcome=Stopped())
    assert await state(api, job) == "cancelled"
    assert (await complete(stand, promise)).status_code == 409
    await api.delete(f"/v1/jobs/{job}")
    assert (await complete(stand, promise)).status_code == 403


async def test_promises_need_no_namespace_and_mix_none_up(stand: Stand, api: httpx.AsyncClient) -> None:
    async with stand.client(namespace=TEAM) as team:
        worker, item, _ = await running(stand, team)
        theirs = await opened(worker, item)
    assert (await complete(stand, theirs, **{"x-namespace": "default"})).status_code == 200
    assert len(await said(stand, item, theirs)) == 1


async def test_a_full_box_does_not_lose_a_promise(
    stand: Stand, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for adapter in ("memory", "sql"):
        monkeypatch.setattr(f"mvm_ci.adapters.{adapter}.mail.MAX_WAITING", 1)
    worker, item, _ = await running(stand, api)
    promise = await opened(worker, item)
    await stand.mail.send(Letter(job=item.placed.job, topic="message:", key="k", at_ms=0))
    assert (await complete(stand, promise)).status_code == 200
    assert len(await said(stand, item, promise)) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"value": "x" * (1 << 20)}, 413),
        ({"unknown": 1}, 400),
        ({"value": "x" * MAX_MAIL_BODY}, 413),
        ({"error": 1}, 400),
        ([], 400),
    ],
)
async def test_what_completes_nothing(stand: Stand, api: httpx.AsyncClient, body: Any, status: int) -> None:
    worker, item, _ = await running(stand, api)
    promise = await opened(worker, item)
    assert (await complete(stand, promise, body)).status_code == status
    assert (await complete(stand, promise)).status_code == 200


@pytest.mark.parametrize("asked", [{"digest": "d" * 63}, {"digest": "d" * 64, "label": "x" * 201}, {}])
async def test_what_is_no_promise(stand: Stand, api: httpx.AsyncClient, asked: dict[str, str]) -> None:
    worker, item, _ = await running(stand, api)
    answer = await worker.ask(item.placed, "promise.create", asked)
    assert answer["error"]["kind"] == "bad-input"


async def test_a_token_is_written_nowhere(stand: Stand, api: httpx.AsyncClient, tmp_path: Path) -> None:
    wrong = "a-token-that-somebody-guessed"
    with capture_logs() as logs:
        worker, item, _ = await running(stand, api)
        promise = await opened(worker, item)
        await complete(stand, promise, token=wrong)
        await complete(stand, promise)
        await complete(stand, promise)
        audit = (await api.get("/v1/audit")).text
    # An awaited write: what came before it is in the files.
    await stand.queue.start((), 0)
    files = [file for file in await asyncio.to_thread(lambda: list(tmp_path.rglob("*"))) if file.is_file()]
    texts = [await asyncio.to_thread(file.read_bytes) for file in files]
    found = b"".join([*texts, repr(logs).encode(), audit.encode()])
    for token in (TOKEN, wrong):
        assert token.encode() not in found
    if files:
        assert promise.encode() in found, "the promise itself is there"
        assert sha256(TOKEN.encode()).hexdigest().encode() in found

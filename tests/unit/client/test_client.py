"""The client: errors of the API and of the network, waiting, following."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import httpx
import msgspec
import pytest

from mvm_ci.client import ApiClient, patience, waiting
from mvm_ci.domain import errors
from mvm_ci.wire import api

JOB = "j01h2xk9q0w0c4"
Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler) -> ApiClient:
    return ApiClient("http://control.test", "mvm_api_secret", transport=httpx.MockTransport(handler))


def json_answer(value: object, status: int = 200) -> httpx.Response:
    return httpx.Response(status, content=msgspec.json.encode(value))


def piece(index: int, attempt: int = 1) -> api.LogLine:
    return api.LogLine(attempt=attempt, index=index, at_ms=1, stream="stdout", text=f"line {index}\n")


class BrokenStream(httpx.AsyncByteStream):
    """Some lines, then the connection is lost."""

    def __init__(self, *lines: api.LogLine) -> None:
        self._lines = lines

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for line in self._lines:
            yield msgspec.json.encode(line) + b"\n"
        raise httpx.ReadError("connection lost")


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_PAUSES", (0.0,))
    monkeypatch.setattr(waiting, "_PAUSE_S", 0.0)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "bad-input", errors.BadInput),
        (422, "bad-module", errors.BadModule),
        (413, "too-large", errors.TooLarge),
        (401, "refused", errors.Refused),
        (404, "not-found", errors.NotFound),
        (409, "stale-epoch", errors.StaleEpoch),
        (409, "illegal-transition", errors.Conflict),
        (409, "key-reused", errors.KeyReused),
        (429, "disk-full", errors.DiskFull),
        (503, "unavailable", errors.Unavailable),
        (500, "error", errors.MvmCiError),
    ],
)
async def test_a_problem_becomes_its_error(status: int, code: str, kind: type[Exception]) -> None:
    problem = api.Problem(type="about:blank", title="t", status=status, code=code, detail="what, where")
    async with client(lambda _: json_answer(problem, status)) as control:
        with pytest.raises(kind, match=r"^(http://[^ ]+: )?what, where$"):
            await control.status()


async def test_a_full_queue_says_when_to_come_back() -> None:
    problem = api.Problem(type="about:blank", title="t", status=429, code="queue-full", detail="full")
    answer = httpx.Response(429, content=msgspec.json.encode(problem), headers={"retry-after": "17"})
    async with client(lambda _: answer) as control:
        with pytest.raises(errors.QueueFull) as caught:
            await control.status()
    assert caught.value.retry_after_s == 17


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("refused"), errors.Unavailable),
        (httpx.ReadTimeout("late"), errors.Unavailable),
        (httpx.RemoteProtocolError("nonsense"), errors.Unavailable),
    ],
)
async def test_the_network_becomes_unavailable(error: Exception, kind: type[Exception]) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    async with client(fail) as control:
        with pytest.raises(kind, match=r"http://control\.test") as caught:
            await control.status()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b"[" * 100_000])
async def test_an_answer_of_something_else_is_a_protocol_error(body: bytes) -> None:
    async with client(lambda _: httpx.Response(200, content=body)) as control:
        with pytest.raises(errors.ProtocolError):
            await control.status()


async def test_a_redirect_is_not_followed_with_the_token() -> None:
    async with client(
        lambda _: httpx.Response(307, headers={"location": "http://elsewhere.test"})
    ) as control:
        with pytest.raises(errors.ProtocolError):
            await control.status()


async def test_names_cannot_leave_their_place_in_the_path() -> None:
    seen: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path.decode())
        return json_answer(api.CancelView(id="x", cancelled="done"))

    async with client(handle) as control:
        await control.cancel("../workers?x=1")
    assert seen == ["/v1/jobs/..%2Fworkers%3Fx%3D1/cancel"]


async def test_a_list_is_submitted_in_one_request() -> None:
    seen: list[bytes] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.content)
        return json_answer(api.Submitted(jobs=(api.JobView(id="a", state="pending"),) * 3))

    jobs = [api.SubmitJob(module="m", input=msgspec.Raw(b"%d" % number)) for number in range(3)]
    async with client(handle) as control:
        assert len(await control.submit(jobs, wait_s=1000)) == 3
    (body,) = (json.loads(body) for body in seen)
    assert [job["input"] for job in body["jobs"]] == [0, 1, 2]
    assert body["wait_s"] == api.MAX_WAIT_S


@pytest.mark.usefixtures("no_pauses")
async def test_waiting_goes_on_through_a_restart() -> None:
    answers: list[httpx.Response | Exception] = [
        json_answer(api.JobView(id=JOB, state="pending")),
        httpx.ConnectError("down"),
        httpx.Response(503),
        json_answer(api.JobView(id=JOB, state="in_progress")),
        json_answer(api.JobView(id=JOB, state="completed")),
    ]

    def handle(_: httpx.Request) -> httpx.Response:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with client(handle) as control:
        assert (await control.wait(JOB)).state == "completed"
    assert answers == []


async def test_waiting_says_at_once_if_nobody_is_there() -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("down")

    async with client(fail) as control:
        with pytest.raises(errors.Unavailable):
            await control.wait(JOB)


async def test_waiting_does_not_outlast_its_time() -> None:
    async with client(lambda _: json_answer(api.JobView(id=JOB, state="suspended"))) as control:
        assert (await control.wait(JOB, timeout_s=0.0)).state == "suspended"


@pytest.mark.usefixtures("no_pauses")
async def test_following_resumes_after_the_last_line_and_shows_none_twice() -> None:
    asked: list[dict[str, str]] = []
    answers: list[httpx.Response | Exception] = [
        httpx.Response(200, stream=BrokenStream(piece(1), piece(3))),
        httpx.ConnectError("down"),
        # A server that repeats a line, and goes on with another attempt.
        httpx.Response(200, stream=BrokenStream(piece(3), piece(4), piece(0, attempt=2))),
        # The control plane stops: the stream ends, the job does not.
        httpx.Response(200, content=b"\n" + msgspec.json.encode(piece(2, attempt=2)) + b"\n"),
        json_answer(api.JobView(id=JOB, state="in_progress")),
        # The stream ended just before the job's last line.
        httpx.Response(200),
        json_answer(api.JobView(id=JOB, state="completed")),
        httpx.Response(200, content=msgspec.json.encode(piece(5, attempt=2)) + b"\n"),
    ]

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/logs"):
            asked.append(dict(request.url.params))
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with client(handle) as control:
        lines = [(line.attempt, line.index) async for line in control.logs(JOB, wait=True)]
    assert lines == [(1, 1), (1, 3), (1, 4), (2, 0), (2, 2), (2, 5)]
    assert asked == [
        {"follow": "1"},
        {"follow": "1", "attempt": "1", "from": "4"},
        {"follow": "1", "attempt": "1", "from": "4"},
        {"follow": "1", "attempt": "2", "from": "1"},
        {"follow": "1", "attempt": "2", "from": "3"},
        {"attempt": "2", "from": "3"},
    ]


async def test_a_part_of_the_output_is_asked_for_until_a_line_was_seen() -> None:
    asked: list[dict[str, str]] = []
    answers = [
        httpx.Response(200, content=msgspec.json.encode(piece(7)) + b"\n"),
        json_answer(api.JobView(id=JOB, state="completed")),
        httpx.Response(200),
        httpx.Response(200),
    ]

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/logs"):
            asked.append(dict(request.url.params))
        return answers.pop(0)

    async with client(handle) as control:
        newest = control.logs(JOB, api.LogRange(tail=3), wait=True)
        assert [line.index async for line in newest] == [7]
        part = control.logs(JOB, api.LogRange(attempt=2, first=3, to=9, limit=4))
        assert [line async for line in part] == []
    assert asked == [
        {"follow": "1", "tail": "3"},
        {"attempt": "1", "from": "8"},
        {"attempt": "2", "from": "3", "to": "9", "limit": "4"},
    ]


async def test_reading_once_does_not_reconnect() -> None:
    async with client(lambda _: httpx.Response(200, stream=BrokenStream(piece(1)))) as control:
        lines = control.logs(JOB)
        assert (await anext(lines)).index == 1
        with pytest.raises(errors.Unavailable):
            await anext(lines)


async def test_following_gives_up_when_the_connection_stays_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(patience, "_PAUSES", (0.001,))

    def fail(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("down")

    async with client(fail) as control:
        with pytest.raises(errors.Unavailable, match="lost the connection"):
            await asyncio.wait_for(anext(control.logs(JOB, wait=True)), 30)


async def test_following_a_job_that_is_not_there() -> None:
    async with client(lambda _: httpx.Response(404)) as control:
        with pytest.raises(errors.NotFound):
            await anext(control.logs(JOB, wait=True))

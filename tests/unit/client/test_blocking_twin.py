"""The client without asyncio is the client with it."""

from __future__ import annotations

import httpx
import msgspec
import pytest

from mvm_ci.client import Client
from mvm_ci.client.blocking import patience, waiting
from mvm_ci.wire import api
from tests.unit.client.blocking_twin import TWIN, made

JOB = "j01h2xk9q0w0c4"


def test_the_files_are_as_they_are_made() -> None:
    written = {file.name: file.read_text() for file in TWIN.glob("*.py")}
    assert written == made(), "run: python -m tests.unit.client.blocking_twin"


def test_nothing_of_asyncio_is_left() -> None:
    text = "".join(file.read_text() for file in TWIN.glob("*.py") if file.name != "__init__.py")
    assert [word for word in ("async def", "await ", "asyncio", "Async") if word in text] == []


def test_it_waits_and_follows_through_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_PAUSES", (0.0,))
    monkeypatch.setattr(waiting, "_PAUSE_S", 0.0)
    text = [
        msgspec.json.encode(api.LogLine(attempt=1, index=at, at_ms=1, stream="stdout", text="x")) + b"\n"
        for at in range(3)
    ]
    pending, ended = (
        msgspec.json.encode(api.JobView(id=JOB, state=state)) for state in ("pending", "completed")
    )
    down = httpx.ConnectError("down")
    answers: list[bytes | Exception] = [
        *(pending, down, ended),  # waiting
        *(text[0] + text[1], pending, down, text[1] + text[2], ended, b""),  # following
    ]

    def handle(_: httpx.Request) -> httpx.Response:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(200, content=answer)

    with Client("http://control.test", "token", transport=httpx.MockTransport(handle)) as control:
        assert control.wait(JOB).state == "completed"
        assert [line.index for line in control.logs(JOB, wait=True)] == [0, 1, 2]
    assert answers == []

"""A control plane's API with canned answers, and the command line in front of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import msgspec
from click.testing import CliRunner, Result

from mvm_ci.cli.main import root
from mvm_ci.wire import api

JOB = "j01h2xk9q0w0c4"
OTHER_JOB = "j01h2xk9q0w0d5"
DIGEST = "ab" * 32
WORKER = "cd" * 32
TOKEN = "mvm_api_secret0123456789"


def job_view(state: str = "completed", **fields: Any) -> api.JobView:
    defaults: dict[str, Any] = {"id": JOB, "module": DIGEST, "created_ms": 1_700_000_000_000}
    return api.JobView(state=state, **defaults | fields)


def module_view(**fields: Any) -> api.ModuleView:
    defaults: dict[str, Any] = {"digest": DIGEST, "name": "hello", "kind": "core", "size": 9}
    return api.ModuleView(**defaults | {"created_ms": 1, "allow_hosts": ()} | fields)


def version_view(version: str = "1.2.0", **fields: Any) -> api.ModuleVersionView:
    defaults: dict[str, Any] = {"name": "crawl", "digest": DIGEST, "created_ms": 1_700_000_000_000}
    return api.ModuleVersionView(version=version, **defaults | fields)


def worker_view(**fields: Any) -> api.WorkerView:
    defaults: dict[str, Any] = {"id": WORKER, "name": "one", "state": "active", "connected": True}
    return api.WorkerView(**defaults | fields)


def problem(status: int, code: str, detail: str) -> tuple[int, bytes]:
    return status, msgspec.json.encode(
        api.Problem(type="about:blank", title=code, status=status, code=code, detail=detail)
    )


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


@dataclass
class FakeApi:
    """An ASGI application: answers by (method, path); several answers to one route come in turn. ``headers``:
    of the answers of a path.
    """

    answers: dict[tuple[str, str], list[tuple[int, bytes]]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)

    def answer(self, method: str, path: str, *answers: object) -> None:
        encoded = [one if isinstance(one, tuple) else (200, _body(one)) for one in answers]
        self.answers[method, path] = encoded

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        given = {key.decode(): value.decode() for key, value in scope["headers"]}
        query = parse_qs(scope["query_string"].decode())
        self.requests.append(Request(scope["method"], scope["path"], query, given, body))
        waiting = self.answers.get(
            (scope["method"], scope["path"]), [problem(404, "not-found", "no such route")]
        )
        status, content = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        headers = self.headers.get(scope["path"], {}) if status < 400 else {}
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": content})


@dataclass
class CommandLine:
    api: FakeApi

    def __call__(self, *args: str, text: str | bytes | None = None) -> Result:
        result = CliRunner().invoke(root, args, input=text, prog_name="mvm-ci")
        assert "Traceback (most recent" not in result.stderr
        return result


def _body(value: object) -> bytes:
    return value if isinstance(value, bytes) else msgspec.json.encode(value)

"""A ``GuestRuntime`` whose guests are scripts: their input says, step by step, what they do."""

import inspect
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from mvm_ci.domain.errors import BadModule
from mvm_ci.domain.http import HttpRequest, HttpResponse
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.outcome import Failure, FailureKind
from mvm_ci.domain.payload import BlobRef
from mvm_ci.files.handle import Mode
from mvm_ci.ports.guest import CompiledModule, GuestFailed, GuestLimits, HostCalls


def script(*steps: Any) -> bytes:
    """The input of a guest that does ``steps``; its result is the JSON list of what they returned."""
    return json.dumps(steps).encode()


class FakeRuntime:
    def __init__(self) -> None:
        self.ticks = 0

    def load(self, module: CompiledModule) -> "FakeGuest":
        if not Path(module.path).exists():
            raise BadModule("its machine code is not there")
        return FakeGuest(self)

    def tick(self) -> None:
        self.ticks += 1

    def close(self) -> None:
        pass


class FakeGuest:
    def __init__(self, runtime: FakeRuntime) -> None:
        self.runtime = runtime

    async def run(self, payload: bytes, host: HostCalls, limits: GuestLimits) -> bytes:
        results = []
        for name, *arguments in json.loads(payload):
            did = getattr(self, name)(host, *arguments)
            results.append(await did if inspect.isawaitable(did) else did)
        return json.dumps(results).encode()

    def echo(self, host: HostCalls, value: Any) -> Any:
        return value

    def log(self, host: HostCalls, text: str) -> None:
        host.log("log", text)

    def clock(self, host: HostCalls) -> int:
        return host.monotonic_ns()

    def big(self, host: HostCalls, size: int) -> str:
        return "x" * size

    def fail(self, host: HostCalls, message: str) -> None:
        raise GuestFailed(Failure(kind=FailureKind.ERROR, message=message))

    def bug(self, host: HostCalls) -> None:
        raise RuntimeError("not a guest's error")

    def starve(self, host: HostCalls) -> None:
        raise MemoryError

    async def http(self, host: HostCalls, method: str, url: str, body: str = "") -> Any:
        idempotent = method in ("GET", "HEAD")
        answer = await host.http(HttpRequest(method, url, (), body.encode(), 5000, idempotent))
        if isinstance(answer, HttpResponse):
            assert isinstance(answer.body, bytes)
            return [answer.status, len(answer.body)]
        return answer.kind

    async def fetch(self, host: HostCalls, url: str, to: str, source: list[Any] | None = None) -> Any:
        """A request to or from an artifact."""
        given = None if source is None else BlobRef(Digest(source[0]), source[1])
        method = "GET" if given is None else "PUT"
        answer = await host.http(HttpRequest(method, url, (), b"", 5000, True, given, to))
        if isinstance(answer, HttpResponse):
            body = answer.body
            return [answer.status, len(body) if isinstance(body, bytes) else [body.digest, body.size]]
        return [answer.kind, answer.message]

    async def write(self, host: HostCalls, name: str, text: str, repeat: int = 1, times: int = 1) -> Any:
        for _ in range(times):
            said = await host.write_artifact(name, (text * repeat).encode())
            if said is not None:
                return json.loads(said)
        return None

    async def read(self, host: HostCalls, digest: str, offset: int, size: int) -> Any:
        data, said = await host.read_artifact(digest, offset, size)
        return data.decode() if said is None else json.loads(said)

    def given(self, host: HostCalls, path: str) -> str:
        """The text of a file in ``/inputs``."""
        opened = host.files.open(host.files.root, f"inputs/{path}", Mode.READ)
        return opened.read(1 << 20).decode()

    async def call(self, host: HostCalls, name: str, argument: Any) -> Any:
        return json.loads(await host.call(name, json.dumps(argument).encode()))

    async def wait(self, host: HostCalls, topic: str, timeout_s: float | None = None) -> Any:
        """The contents of mail about ``topic``; None: it took too long."""
        answer = await self.call(host, "wait", {"topics": [topic], "timeout_s": timeout_s})
        return answer["ok"] and answer["ok"]["value"]

    async def secret(self, host: HostCalls, name: str) -> str:
        """A secret, or why not."""
        answer = json.loads(await host.call("secret.get", json.dumps({"name": name}).encode()))
        return str(answer["ok"] if "ok" in answer else answer["error"]["kind"])

    async def send_secret(self, host: HostCalls, name: str) -> Any:
        """Sends a secret; what came back."""
        token = await self.secret(host, name)
        answer = await host.http(
            HttpRequest("POST", "http://a/", (("x", token),), token.encode(), 5000, False)
        )
        assert isinstance(answer, HttpResponse)
        assert isinstance(answer.body, bytes)
        return [len(answer.body), answer.body[:20].decode()]

    async def sleep(self, host: HostCalls, ms: int) -> None:
        await host.sleep_for(ms * 1_000_000)

    async def check(self, host: HostCalls) -> str:
        """Learns of a cancellation."""
        return (await host.call("job.check", b"{}")).decode()

    async def receive(self, host: HostCalls) -> str:
        """Waits for a message."""
        return (await host.call("wait", b'{"topics": ["message:go"]}')).decode()

    async def spin(self, host: HostCalls, ms: int = 1 << 30) -> None:
        """Computes, and gives way at the end of each slice."""
        seen, end = self.runtime.ticks, time.perf_counter() + ms / 1000
        while time.perf_counter() < end:
            if self.runtime.ticks != seen:
                await host.give_way()
                seen = self.runtime.ticks

    def busy(self, host: HostCalls, ms: int) -> None:
        """Computes for a while in one piece: it never gives way."""
        end = time.perf_counter() + ms / 1000
        while time.perf_counter() < end:
            pass

    def disobey(self, host: HostCalls) -> None:
        while True:
            time.sleep(0.01)

    def die(self, host: HostCalls, path: str = "", times: int = 1 << 30) -> str:
        """Dies of SIGKILL, as often as told; counts in a file."""
        seen = len(Path(path).read_text()) if path and Path(path).exists() else 0
        if seen < times:
            if path:
                Path(path).write_text("x" * (seen + 1))
            os.kill(os.getpid(), signal.SIGKILL)
        return "alive"

    def mark(self, host: HostCalls, path: str) -> None:
        """Shows the outside that it came here."""
        with Path(path).open("a") as file:
            file.write(f"{os.getpid()}\n")

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
from mvm_ci.domain.outcome import Failure, FailureKind
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

    async def sleep(self, host: HostCalls, ms: int) -> None:
        await host.sleep_for(ms * 1_000_000)

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

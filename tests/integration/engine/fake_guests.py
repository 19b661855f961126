"""A ``GuestRuntime`` whose guests are scripts: their input says, step by step, what they do."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mvm_ci.domain.errors import BadModule
from mvm_ci.domain.http import HttpRequest, HttpResponse
from mvm_ci.domain.outcome import Failure, FailureKind
from mvm_ci.ports.guest import CompiledModule, GuestFailed, GuestLimits, HostCalls, Unwind


def script(*steps: Any) -> bytes:
    """The input of a guest that does ``steps``; its result is the JSON list of what they returned."""
    return json.dumps(steps).encode()


class FakeRuntime:
    def __init__(self) -> None:
        self.interruption: Unwind | None = None
        self.running = False
        self.lock = threading.Lock()

    def load(self, module: CompiledModule) -> "FakeGuest":
        if not Path(module.path).exists():
            raise BadModule("its machine code is not there")
        return FakeGuest(self)

    def interrupt(self, make: Callable[[], Unwind]) -> None:
        with self.lock:
            if self.running:
                self.interruption = make()

    def close(self) -> None:
        pass


class FakeGuest:
    def __init__(self, runtime: FakeRuntime) -> None:
        self.runtime = runtime

    def run(self, payload: bytes, host: HostCalls, limits: GuestLimits) -> bytes:
        runtime = self.runtime
        with runtime.lock:
            runtime.running = True
            runtime.interruption = None
        try:
            results = []
            for name, *arguments in json.loads(payload):
                results.append(getattr(self, name)(host, *arguments))
                self.check()
            return json.dumps(results).encode()
        finally:
            with runtime.lock:
                runtime.running = False

    def check(self) -> None:
        if self.runtime.interruption is not None:
            raise self.runtime.interruption

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

    def http(self, host: HostCalls, method: str, url: str, body: str = "") -> Any:
        idempotent = method in ("GET", "HEAD")
        answer = host.http(HttpRequest(method, url, (), body.encode(), 5000, idempotent))
        if isinstance(answer, HttpResponse):
            assert isinstance(answer.body, bytes)
            return [answer.status, len(answer.body)]
        return answer.kind

    def sleep(self, host: HostCalls, ms: int) -> None:
        host.sleep_for(ms * 1_000_000)

    def spin(self, host: HostCalls) -> None:
        while True:
            self.check()

    def busy(self, host: HostCalls, ms: int) -> None:
        """Computes for a while, in which nothing can interrupt it."""
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

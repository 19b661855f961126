"""Leaving a guest for good: from every host call, by interruption, and that nothing is left behind."""

import json
import threading
import time
from collections.abc import Callable

import pytest

from mvm_ci.adapters.wasm.runtime import WasmRuntime
from mvm_ci.ports.guest import Guest, GuestFailed, GuestLimits, Unwind
from tests.integration.wasm.fakes import FakeHost

LIMITS = GuestLimits()


class Left(Unwind):
    """The reason of these tests."""


CORE = {
    "wall_clock_ns": b"c",
    "monotonic_ns": b"c",
    "random": b"c",
    "sleep_for": b"s",
    "sleep_until": b"s",
    "http": b'h{"url": "http://a/"}',
    "log": b"p",
}


def job(do: str, argument: object = None) -> bytes:
    return json.dumps({"do": do, "argument": argument}).encode()


PYTHON = {
    "wall_clock_ns": job("effects"),
    "monotonic_ns": job("effects"),
    "random": job("noop"),
    "sleep_until": job("sleep", 5),
    "http": job("fetch", {"url": "http://a/"}),
    "log": job("prints"),
}
REASONS = (Left("stop"), KeyboardInterrupt("^C"), SystemExit(3), ValueError("a bug of the host"))


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: type(reason).__name__)
@pytest.mark.parametrize("call", CORE)
def test_a_core_guest_is_left_from_any_call(probe: Guest, call: str, reason: BaseException) -> None:
    with pytest.raises(type(reason)) as caught:
        probe.run(CORE[call], FakeHost(raises={call: reason}), LIMITS)
    assert caught.value is reason
    assert probe.run(b"O", FakeHost(), LIMITS) == b"second"


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: type(reason).__name__)
@pytest.mark.parametrize("call", PYTHON)
def test_a_python_guest_is_left_from_any_call(everything: Guest, call: str, reason: BaseException) -> None:
    with pytest.raises(type(reason)) as caught:
        everything.run(PYTHON[call], FakeHost(raises={call: reason}), LIMITS)
    assert caught.value is reason
    assert everything.run(job("echo", 1), FakeHost(), LIMITS) == b"1"


@pytest.mark.parametrize("call", ["wall_clock_ns", "log"])
def test_python_cannot_catch_it(everything: Guest, call: str) -> None:
    host = FakeHost(raises={call: Left("stop")})
    with pytest.raises(Left):
        everything.run(job("catches"), host, LIMITS)
    assert host.names().count(call) == 1, "no effect may start after the run was ended"


def interrupt_once(runtime: WasmRuntime, guest: Guest, payload: bytes) -> float:
    """Interrupts the spinning guest from another thread; the seconds until it ended."""
    asked: list[float] = []

    def interrupt() -> None:
        asked.append(time.monotonic())
        runtime.interrupt(lambda: Left("interrupted"))

    timer = threading.Timer(0.05, interrupt)
    timer.start()
    with pytest.raises(Left, match="interrupted"):
        guest.run(payload, FakeHost(), LIMITS)
    timer.join()
    return time.monotonic() - asked[0]


@pytest.mark.parametrize("operation", [b"l", b"L"])
def test_a_spinning_core_guest_is_interrupted(runtime: WasmRuntime, probe: Guest, operation: bytes) -> None:
    assert interrupt_once(runtime, probe, operation) < 0.5
    assert probe.run(b"O", FakeHost(), LIMITS) == b"second"


@pytest.mark.parametrize("operation", ["spin", "catches"])
def test_a_spinning_python_guest_is_interrupted(
    runtime: WasmRuntime, everything: Guest, operation: str
) -> None:
    assert interrupt_once(runtime, everything, job(operation)) < 0.5
    assert everything.run(job("echo", 1), FakeHost(), LIMITS) == b"1"


def test_an_interruption_between_runs_hits_nothing(
    runtime: WasmRuntime, probe: Guest, everything: Guest
) -> None:
    def make() -> Unwind:
        raise AssertionError("there is no run to end")

    runtime.interrupt(make)
    assert probe.run(b"O", FakeHost(), LIMITS) == b"second"
    runtime.interrupt(make)
    assert everything.run(job("echo", 1), FakeHost(), LIMITS) == b"1"
    runtime.interrupt(make)


def test_an_interruption_inside_a_host_call_stops_further_effects(runtime: WasmRuntime, probe: Guest) -> None:
    host = FakeHost(on_call=lambda _: runtime.interrupt(lambda: Left("inside")))
    with pytest.raises(Left):
        probe.run(b"c", host, LIMITS)
    assert host.names() == ["wall_clock_ns"]


def test_interruptions_and_runs_never_mix(runtime: WasmRuntime, probe: Guest) -> None:
    """Runs one short guest after another under constant fire: each ends with its result or with an
    interruption.
    """
    done = threading.Event()

    def fire() -> None:
        while not done.is_set():
            runtime.interrupt(lambda: Left("fire"))

    thread = threading.Thread(target=fire)
    thread.start()
    try:
        for _ in range(300):
            try:
                assert probe.run(b"O", FakeHost(), LIMITS) == b"second"
            except Left:
                continue
    finally:
        done.set()
        thread.join()
    assert probe.run(b"O", FakeHost(), LIMITS) == b"second"


def test_one_guest_at_a_time(probe: Guest) -> None:
    def again(_: str) -> None:
        probe.run(b"O", FakeHost(), LIMITS)

    with pytest.raises(RuntimeError, match="a guest runs already"):
        probe.run(b"c", FakeHost(on_call=again), LIMITS)
    assert probe.run(b"O", FakeHost(), LIMITS) == b"second"


@pytest.mark.parametrize("attempts", [200])
def test_many_unwound_guests_leak_no_slot(probe: Guest, attempts: int) -> None:
    stop: Callable[[], FakeHost] = lambda: FakeHost(raises={"wall_clock_ns": Left("x")})  # noqa: E731
    for _ in range(attempts):
        with pytest.raises(Left):
            probe.run(b"c", stop(), LIMITS)
        with pytest.raises(GuestFailed):
            probe.run(b"u", FakeHost(), LIMITS)

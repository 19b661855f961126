"""Fibers: guests that wait are suspended, one that is left for good leaves nothing behind."""

import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mvm_ci.adapters.wasm.runtime import WasmRuntime
from mvm_ci.engine.strand import GiveWay
from mvm_ci.ports.guest import GuestFailed, GuestLimits, Unwind
from tests.integration.wasm.fakes import FakeHost, OnlyGuest

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
def test_a_core_guest_is_left_from_any_call(probe: OnlyGuest, call: str, reason: BaseException) -> None:
    with pytest.raises(type(reason)) as caught:
        probe.run(CORE[call], FakeHost(raises={call: reason}), LIMITS)
    assert caught.value is reason
    assert probe.run(b"O", FakeHost(), LIMITS) == b"second"


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: type(reason).__name__)
@pytest.mark.parametrize("call", PYTHON)
def test_a_python_guest_is_left_from_any_call(
    everything: OnlyGuest, call: str, reason: BaseException
) -> None:
    with pytest.raises(type(reason)) as caught:
        everything.run(PYTHON[call], FakeHost(raises={call: reason}), LIMITS)
    assert caught.value is reason
    assert everything.run(job("echo", 1), FakeHost(), LIMITS) == b"1"


@pytest.mark.parametrize("call", ["wall_clock_ns", "log"])
def test_python_cannot_catch_it(everything: OnlyGuest, call: str) -> None:
    host = FakeHost(raises={call: Left("stop")})
    with pytest.raises(Left):
        everything.run(job("catches"), host, LIMITS)
    assert host.names().count(call) == 1, "no effect may start after the run was ended"


@contextmanager
def ticking(runtime: WasmRuntime) -> Iterator[None]:
    """Time slices end all the time, from another thread."""
    done = threading.Event()

    def tick() -> None:
        while not done.wait(0.001):
            runtime.tick()

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def leave() -> None:
    raise Left("its slice is over")


@pytest.mark.parametrize("operation", [b"l", b"L"])
def test_a_spinning_core_guest_is_left(runtime: WasmRuntime, probe: OnlyGuest, operation: bytes) -> None:
    with ticking(runtime), pytest.raises(Left):
        probe.run(operation, FakeHost(give_way=leave), LIMITS)
    assert probe.run(b"O", FakeHost(), LIMITS) == b"second"


@pytest.mark.parametrize("operation", ["spin", "catches"])
def test_a_spinning_python_guest_is_left(runtime: WasmRuntime, everything: OnlyGuest, operation: str) -> None:
    with ticking(runtime), pytest.raises(Left):
        everything.run(job(operation), FakeHost(give_way=leave), LIMITS)
    assert everything.run(job("echo", 1), FakeHost(), LIMITS) == b"1"


def test_slices_change_nothing(runtime: WasmRuntime, probe: OnlyGuest, everything: OnlyGuest) -> None:
    with ticking(runtime):
        for _ in range(300):
            assert probe.run(b"O", FakeHost(), LIMITS) == b"second"
        said = json.loads(everything.run(job("library"), FakeHost(), LIMITS))
    assert said == json.loads(everything.run(job("library"), FakeHost(), LIMITS))


class Waiting(FakeHost):
    """Its sleeps wait until the run's coroutine is sent something."""

    async def sleep_for(self, duration_ns: int) -> None:
        await super().sleep_for(duration_ns)
        await GiveWay()

    async def sleep_until(self, monotonic_ns: int) -> None:
        await super().sleep_until(monotonic_ns)
        await GiveWay()


SLEEPERS = {"probe": b"s", "everything": job("sleep", 5)}


@pytest.fixture(params=SLEEPERS)
def sleeper(request: pytest.FixtureRequest) -> tuple[OnlyGuest, bytes]:
    return request.getfixturevalue(request.param), SLEEPERS[request.param]


def suspended(sleeper: tuple[OnlyGuest, bytes]) -> Coroutine[Any, Any, bytes]:
    """A run that waits in its first sleep."""
    guest, payload = sleeper
    run = guest.guest.run(payload, Waiting(), LIMITS)
    run.send(None)
    return run


def finish(run: Coroutine[Any, Any, bytes]) -> bytes:
    while True:
        try:
            run.send(None)
        except StopIteration as end:
            result: bytes = end.value
            return result


def test_many_guests_wait_at_once_and_each_goes_on_where_it_was(sleeper: tuple[OnlyGuest, bytes]) -> None:
    runs = [suspended(sleeper) for _ in range(20)]
    alone = finish(suspended(sleeper))
    assert [finish(run) for run in reversed(runs)] == [alone] * 20


@pytest.mark.parametrize("attempts", [300])
def test_a_guest_that_waits_is_left_and_leaves_no_slot_behind(
    sleeper: tuple[OnlyGuest, bytes], attempts: int
) -> None:
    for _ in range(attempts):
        run = suspended(sleeper)
        with pytest.raises(Left):
            run.throw(Left("stopped"))
    run = suspended(sleeper)
    run.close()
    finish(suspended(sleeper))


def test_a_guest_that_waits_is_not_disturbed_by_one_that_is_left(
    sleeper: tuple[OnlyGuest, bytes], probe: OnlyGuest
) -> None:
    run = suspended(sleeper)
    with pytest.raises(Left):
        probe.run(b"c", FakeHost(raises={"wall_clock_ns": Left("x")}), LIMITS)
    with pytest.raises(GuestFailed):
        probe.run(b"u", FakeHost(), LIMITS)
    assert finish(run) == finish(suspended(sleeper))


@pytest.mark.parametrize("attempts", [200])
def test_many_unwound_guests_leak_no_slot(probe: OnlyGuest, attempts: int) -> None:
    stop: Callable[[], FakeHost] = lambda: FakeHost(raises={"wall_clock_ns": Left("x")})  # noqa: E731
    for _ in range(attempts):
        with pytest.raises(Left):
            probe.run(b"c", stop(), LIMITS)
        with pytest.raises(GuestFailed):
            probe.run(b"u", FakeHost(), LIMITS)

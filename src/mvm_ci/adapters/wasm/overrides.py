"""WASI preview 2 as a guest may see it: clocks, randomness and sleeping are the host's, so that they replay.

wasmtime resolves any ``@0.2.x`` import to the newest version that it registers. A definition under another
version is silently ignored, and the guest would see the real clock: ``WASI_VERSION`` must be exactly the
one of the library, which ``self_test`` proves.
"""

from collections.abc import Coroutine
from ctypes import addressof, c_void_p
from typing import Any, Final

import wasmtime
from wasmtime import _bindings as bindings
from wasmtime.component import Component, Linker

from mvm_ci.adapters.wasm import capi
from mvm_ci.adapters.wasm.component_host import Call, Function
from mvm_ci.adapters.wasm.component_images import group, octets, record, u32, u64
from mvm_ci.adapters.wasm.component_values import Prepare
from mvm_ci.adapters.wasm.current_run import Run
from mvm_ci.adapters.wasm.failures import guest_failed
from mvm_ci.domain.outcome import FailureKind

WASI_VERSION: Final = "0.2.12"
_MAX_U63: Final = (1 << 63) - 1
_MAX_RANDOM: Final = 1 << 20
_SECOND: Final = 1_000_000_000

# A sleeping guest waits for a pollable, which only the library can make. This component makes one that is
# ready at once; the waiting itself is done by the host call.
_READY_POLLABLE: Final = f"""(component
  (import "wasi:io/poll@{WASI_VERSION}" (instance $poll (export "pollable" (type (sub resource)))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@{WASI_VERSION}" (instance $clock
    (alias outer 1 $pollable (type $outer)) (export "pollable" (type $same (eq $outer)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $same))))))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core module $module
    (import "" "subscribe" (func $subscribe (param i64) (result i32)))
    (func (export "ready") (result i32) i64.const 0 call $subscribe))
  (core instance $instance (instantiate $module (with "" (instance (export "subscribe" (func $subscribe))))))
  (func $ready (result (own $pollable)) (canon lift (core func $instance "ready")))
  (export "ready" (func $ready)))"""


class Sleeper:
    """Makes ready pollables in a guest's store."""

    def __init__(self, engine: wasmtime.Engine) -> None:
        self._component = Component(engine, _READY_POLLABLE)
        self._linker = Linker(engine)
        capi.add_wasi(self._linker)
        index = self._component.get_export_index("ready")
        if index is None:
            raise RuntimeError("the helper component exports no function ready")
        self._index = index
        self._linker_at = capi.address(self._linker.ptr())
        self._component_at = capi.address(self._component.ptr())

    def pollable(self, context: int, result: Any) -> None:
        """Makes ``result`` a pollable of the store behind ``context`` that is ready. The helper is
        instantiated anew each time: it is small.
        """
        error = c_void_p()
        instance = bindings.wasmtime_component_instance_t()
        made = capi.component_instantiate(
            self._linker_at, context, self._component_at, addressof(instance), addressof(error)
        )
        _finish(made, error)
        function = bindings.wasmtime_component_func_t()
        found = capi.component_function(
            addressof(instance), context, capi.address(self._index.ptr()), addressof(function)
        )
        if not found:
            raise RuntimeError("the helper component exports no function ready")
        called = capi.component_call(
            addressof(function), context, None, 0, addressof(result), 1, addressof(error)
        )
        _finish(called, error)


def _finish(future: int, error: c_void_p) -> None:
    """Runs a call of the helper, which never waits, to its end."""
    try:
        while not capi.future_poll(future):
            pass
    finally:
        capi.future_delete(future)
    if error.value:
        raise capi.take_error(error.value)


def waiting_functions(sleeper: Sleeper) -> dict[str, dict[str, Prepare]]:
    """What replaces the library's functions and may wait, by interface."""

    def until(run: Run, context: int, instant: Any, result: Any) -> Coroutine[Any, Any, None]:
        sleeper.pollable(context, result)
        return run.host.sleep_until(min(instant[0].of.u64, _MAX_U63))

    def during(run: Run, context: int, duration: Any, result: Any) -> Coroutine[Any, Any, None]:
        sleeper.pollable(context, result)
        return run.host.sleep_for(min(duration[0].of.u64, _MAX_U63))

    return {
        f"wasi:clocks/monotonic-clock@{WASI_VERSION}": {
            "subscribe-instant": until,
            "subscribe-duration": during,
        }
    }


def functions() -> dict[str, dict[str, Function]]:
    """What replaces the library's other functions, by interface."""
    clocks, chance = "wasi:clocks/", "wasi:random/"
    return {
        f"{clocks}wall-clock@{WASI_VERSION}": {"now": _now, "resolution": lambda _call: datetime(1)},
        f"{clocks}monotonic-clock@{WASI_VERSION}": {
            "now": lambda call: u64(call.run.host.monotonic_ns()),
            "resolution": lambda _call: u64(1),
        },
        f"{chance}random@{WASI_VERSION}": {
            "get-random-bytes": _random_bytes,
            "get-random-u64": _random_number,
        },
        f"{chance}insecure@{WASI_VERSION}": {
            "get-insecure-random-bytes": _random_bytes,
            "get-insecure-random-u64": _random_number,
        },
        f"{chance}insecure-seed@{WASI_VERSION}": {"insecure-seed": _seed},
    }


def datetime(time_ns: int) -> bytes:
    """A Unix time in nanoseconds, as WASI has it."""
    seconds, nanoseconds = divmod(time_ns, _SECOND)
    return record((b"seconds", u64(seconds)), (b"nanoseconds", u32(nanoseconds)))


def _now(call: Call) -> bytes:
    return datetime(call.run.host.wall_clock_ns())


def _random_bytes(call: Call) -> bytes:
    size = call.number(0)
    if size > _MAX_RANDOM:
        raise guest_failed(
            FailureKind.ERROR, f"asked for {size} random bytes at once; at most {_MAX_RANDOM} are allowed"
        )
    return octets(call.run.host.random(size))


def _random_number(call: Call) -> bytes:
    return u64(int.from_bytes(call.run.host.random(8), "little"))


def _seed(call: Call) -> bytes:
    seed = call.run.host.random(16)
    return group(*(u64(int.from_bytes(seed[at : at + 8], "little")) for at in (0, 8)))

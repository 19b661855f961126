"""WASI preview 2 as a guest may see it: clocks, randomness and sleeping are the host's, so that they replay.

wasmtime resolves any ``@0.2.x`` import to the newest version that it registers. A definition under another
version is silently ignored, and the guest would see the real clock: ``WASI_VERSION`` must be exactly the
one of the library, which ``self_test`` proves.
"""

from collections.abc import Callable
from typing import Any, Final

import wasmtime
from wasmtime.component import Component, Linker, Record

from mvm_ci.adapters.wasm.current_run import Run

WASI_VERSION: Final = "0.2.12"
_MAX_U63: Final = (1 << 63) - 1

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
    """Makes ready pollables in a guest's store; the helper is instantiated at a store's first sleep."""

    def __init__(self, engine: wasmtime.Engine) -> None:
        self._component = Component(engine, _READY_POLLABLE)
        self._linker = Linker(engine)
        self._linker.add_wasip2()

    def pollable(self, store: wasmtime.StoreContext) -> Any:
        """A pollable of ``store`` that is ready."""
        instance = self._linker.instantiate(store, self._component)
        make = instance.get_func(store, "ready")
        if make is None:
            raise RuntimeError("the helper component exports no function ready")
        return make(store)


def functions(sleeper: Sleeper) -> dict[str, dict[str, Callable[..., Any]]]:
    """What replaces the library's functions, by interface; each is called with the run, its store and the
    arguments.
    """

    def until(run: Run, store: wasmtime.StoreContext, instant: int) -> Any:
        run.host.sleep_until(min(instant, _MAX_U63))
        return sleeper.pollable(store)

    def during(run: Run, store: wasmtime.StoreContext, duration: int) -> Any:
        run.host.sleep_for(min(duration, _MAX_U63))
        return sleeper.pollable(store)

    clocks, chance = "wasi:clocks/", "wasi:random/"
    # The two functions that return bytes are in byte_functions.py.
    return {
        f"{clocks}wall-clock@{WASI_VERSION}": {"now": _now, "resolution": _wall_resolution},
        f"{clocks}monotonic-clock@{WASI_VERSION}": {
            "now": _monotonic,
            "resolution": _resolution,
            "subscribe-instant": until,
            "subscribe-duration": during,
        },
        f"{chance}random@{WASI_VERSION}": {"get-random-u64": _random_number},
        f"{chance}insecure@{WASI_VERSION}": {"get-insecure-random-u64": _random_number},
        f"{chance}insecure-seed@{WASI_VERSION}": {"insecure-seed": _seed},
    }


def _datetime(nanoseconds: int) -> Record:
    record = Record()
    record.__dict__.update(seconds=nanoseconds // 1_000_000_000, nanoseconds=nanoseconds % 1_000_000_000)
    return record


def _now(run: Run, _store: object) -> Record:
    return _datetime(run.host.wall_clock_ns())


def _wall_resolution(_run: Run, _store: object) -> Record:
    return _datetime(1)


def _monotonic(run: Run, _store: object) -> int:
    return run.host.monotonic_ns()


def _resolution(_run: Run, _store: object) -> int:
    return 1


def _random_number(run: Run, _store: object) -> int:
    return int.from_bytes(run.host.random(8), "little")


def _seed(run: Run, _store: object) -> tuple[int, int]:
    seed = run.host.random(16)
    return int.from_bytes(seed[:8], "little"), int.from_bytes(seed[8:], "little")

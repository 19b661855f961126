"""Proves, once for each runtime, that a guest cannot reach a real clock or real randomness."""

from typing import Final

import wasmtime
from wasmtime.component import Component, Linker

from mvm_ci.adapters.wasm import capi
from mvm_ci.adapters.wasm.component_call import ComponentCall
from mvm_ci.adapters.wasm.component_host import ComponentRun
from mvm_ci.adapters.wasm.component_images import Value
from mvm_ci.adapters.wasm.current_run import CurrentRun
from mvm_ci.domain.errors import Misconfigured
from mvm_ci.domain.http import HttpRequest, HttpResult
from mvm_ci.files.system import FileSystem
from mvm_ci.ports.guest import GuestFailed, GuestLimits
from mvm_ci.ports.immediate import at_once

# Guests import an older version than the library registers, so the probe does, too.
_GUEST_VERSION: Final = "0.2.0"
_PROBE: Final = f"""(component
  (import "wasi:io/poll@{_GUEST_VERSION}" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/wall-clock@{_GUEST_VERSION}" (instance $wall
    (type $record (record (field "seconds" u64) (field "nanoseconds" u32)))
    (export "datetime" (type $datetime (eq $record)))
    (export "now" (func (result $datetime)))
    (export "resolution" (func (result $datetime)))))
  (import "wasi:clocks/monotonic-clock@{_GUEST_VERSION}" (instance $clock
    (alias outer 1 $pollable (type $outer)) (export "pollable" (type $same (eq $outer)))
    (export "now" (func (result u64)))
    (export "resolution" (func (result u64)))
    (export "subscribe-instant" (func (param "when" u64) (result (own $same))))
    (export "subscribe-duration" (func (param "when" u64) (result (own $same))))))
  (import "wasi:random/random@{_GUEST_VERSION}" (instance $random
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))
    (export "get-random-u64" (func (result u64)))))
  (import "wasi:random/insecure@{_GUEST_VERSION}" (instance $insecure
    (export "get-insecure-random-bytes" (func (param "len" u64) (result (list u8))))
    (export "get-insecure-random-u64" (func (result u64)))))
  (import "wasi:random/insecure-seed@{_GUEST_VERSION}" (instance $seed
    (export "insecure-seed" (func (result (tuple u64 u64))))))
  (core module $allocator
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024))
  (core instance $a (instantiate $allocator))
  (alias core export $a "memory" (core memory $memory))
  (alias core export $a "realloc" (core func $realloc))
  (core func $wall-now (canon lower (func $wall "now") (memory $memory)))
  (core func $now (canon lower (func $clock "now")))
  (core func $until (canon lower (func $clock "subscribe-instant")))
  (core func $during (canon lower (func $clock "subscribe-duration")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $bytes (canon lower (func $random "get-random-bytes") (memory $memory) (realloc $realloc)))
  (core func $number (canon lower (func $random "get-random-u64")))
  (core func $ibytes (canon lower (func $insecure "get-insecure-random-bytes") (memory $memory) (realloc
  $realloc))) (core func $inumber (canon lower (func $insecure "get-insecure-random-u64")))
  (core func $iseed (canon lower (func $seed "insecure-seed") (memory $memory)))
  (core module $module
    (import "" "wall-now" (func $wall-now (param i32)))
    (import "" "now" (func $now (result i64)))
    (import "" "until" (func $until (param i64) (result i32)))
    (import "" "during" (func $during (param i64) (result i32)))
    (import "" "block" (func $block (param i32)))
    (import "" "bytes" (func $bytes (param i64 i32)))
    (import "" "number" (func $number (result i64)))
    (import "" "ibytes" (func $ibytes (param i64 i32)))
    (import "" "inumber" (func $inumber (result i64)))
    (import "" "iseed" (func $iseed (param i32)))
    (func (export "probe")
      i32.const 8 call $wall-now
      call $now drop
      i64.const 11 call $until call $block
      i64.const 12 call $during call $block
      i64.const 13 i32.const 8 call $bytes
      call $number drop
      i64.const 14 i32.const 8 call $ibytes
      call $inumber drop
      i32.const 8 call $iseed))
  (core instance $instance (instantiate $module (with "" (instance
    (export "wall-now" (func $wall-now)) (export "now" (func $now)) (export "until" (func $until))
    (export "during" (func $during)) (export "block" (func $block)) (export "bytes" (func $bytes))
    (export "number" (func $number))
    (export "ibytes" (func $ibytes)) (export "inumber" (func $inumber)) (export "iseed" (func $iseed))))))
  (func $probe (canon lift (core func $instance "probe")))
  (export "probe" (func $probe)))"""

_EXPECTED: Final = (
    "wall_clock_ns",
    "monotonic_ns",
    "sleep_until 11",
    "sleep_for 12",
    "random 13",
    "random 8",
    "random 14",
    "random 8",
    "random 16",
)


class _Recorder:
    """Host calls that only note that they were made."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.files = FileSystem()

    def wall_clock_ns(self) -> int:
        self.calls.append("wall_clock_ns")
        return 0

    def monotonic_ns(self) -> int:
        self.calls.append("monotonic_ns")
        return 0

    async def give_way(self) -> None:
        """Nobody else is there."""

    def random(self, size: int) -> bytes:
        self.calls.append(f"random {size}")
        return bytes(size)

    async def sleep_until(self, monotonic_ns: int) -> None:
        self.calls.append(f"sleep_until {monotonic_ns}")

    async def sleep_for(self, duration_ns: int) -> None:
        self.calls.append(f"sleep_for {duration_ns}")

    async def http(self, request: HttpRequest) -> HttpResult:
        raise NotImplementedError(request.url)

    async def call(self, name: str, argument: bytes) -> bytes:
        raise NotImplementedError(name)

    async def write_artifact(self, name: str, data: bytes) -> bytes | None:
        raise NotImplementedError(name)

    async def read_artifact(self, digest: str, offset: int, size: int) -> tuple[bytes, bytes | None]:
        raise NotImplementedError(digest)

    def log(self, stream: str, text: str) -> None:
        self.calls.append(f"log {stream} {text}")


def self_test(engine: wasmtime.Engine, linker: Linker, current: CurrentRun) -> None:
    """Calls each replaced function from a small component. Raises ``Misconfigured`` if one did not arrive."""
    recorder = _Recorder()
    component = Component(engine, _PROBE)
    entry = component.get_export_index("probe")
    if entry is None:
        raise RuntimeError("the probe exports no function probe")
    with wasmtime.Store(engine) as store:
        store.set_wasi(wasmtime.WasiConfig())
        store.set_limits(1 << 20, 100, 10, 10, 10)
        context = capi.address(store._context())
        capi.slice_time(context)
        call = ComponentCall(current, ComponentRun(b"", recorder, GuestLimits()), context)
        try:
            at_once(call.instantiate(linker, component))
            at_once(call.call(entry, (Value * 0)(), (Value * 0)()))
        except GuestFailed as error:
            raise Misconfigured(f"this wasmtime's WASI cannot be replaced: {error}") from error
    if tuple(recorder.calls) != _EXPECTED:
        raise Misconfigured(
            f"this wasmtime's WASI is not the expected version: "
            f"of {_EXPECTED} only {tuple(recorder.calls)} arrived"
        )

"""The two engines' settings: what a guest's code may use, and how its memory is laid out.

Compiled code fits only the settings it was compiled with; ``fingerprint`` names them in the cache's file
names.
"""

import hashlib
import platform
from ctypes import c_size_t, c_uint32
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
import wasmtime
from wasmtime import _bindings as bindings

from mvm_ci.ports.guest import ModuleKind

MAX_MEMORY_BYTES: Final = 1 << 30
"""What a guest's memory can never exceed, whatever its limits say."""
_KEEP_RESIDENT: Final = 1 << 20
_POOL_SLOTS: Final = 2


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one engine; every field changes what compiled code may assume, so all are part of the
    fingerprint.
    """

    component_model: bool
    pooled: bool
    memory_reservation: int
    max_wasm_stack: int


SETTINGS: Final = {
    # A pooled slot that stays resident makes the start of a small guest a few times cheaper than fresh
    # mappings.
    ModuleKind.CORE: EngineSettings(
        component_model=False, pooled=True, memory_reservation=MAX_MEMORY_BYTES, max_wasm_stack=512 << 10
    ),
    # Python has one large memory; CPython recurses deeply in C.
    ModuleKind.COMPONENT: EngineSettings(
        component_model=True, pooled=False, memory_reservation=MAX_MEMORY_BYTES, max_wasm_stack=2 << 20
    ),
}


def make_engine(kind: ModuleKind) -> wasmtime.Engine:
    """A new engine for guests of ``kind``."""
    settings = SETTINGS[kind]
    config = wasmtime.Config()
    config.epoch_interruption = True
    config.wasm_component_model = settings.component_model
    config.memory_reservation = settings.memory_reservation
    config.max_wasm_stack = settings.max_wasm_stack
    # Not needed by any guest, and each one more way to use memory or to differ between machines.
    config.wasm_threads = False
    config.wasm_memory64 = False
    config.wasm_multi_memory = False
    config.wasm_gc = False
    config.wasm_exceptions = False
    config.wasm_relaxed_simd = False
    config.cranelift_nan_canonicalization = True
    if settings.pooled:
        _use_pool(config)
    return wasmtime.Engine(config)


def fingerprint(kind: ModuleKind) -> str:
    """Changes whenever code compiled earlier must not be loaded: wasmtime, settings, processor."""
    parts = [version("wasmtime"), repr(SETTINGS[kind]), platform.machine(), _processor_features()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _use_pool(config: wasmtime.Config) -> None:
    pool = bindings.wasmtime_pooling_allocation_config_new()
    try:
        for setting, kind, value in (
            ("total_core_instances", c_uint32, _POOL_SLOTS),
            ("total_memories", c_uint32, _POOL_SLOTS),
            ("total_tables", c_uint32, 4 * _POOL_SLOTS),
            ("max_tables_per_module", c_uint32, 4),
            ("table_elements", c_size_t, 100_000),
            ("max_memory_size", c_size_t, MAX_MEMORY_BYTES),
            ("linear_memory_keep_resident", c_size_t, _KEEP_RESIDENT),
            ("table_keep_resident", c_size_t, 4096),
        ):
            setter = getattr(bindings, f"wasmtime_pooling_allocation_config_{setting}_set")
            setter(pool, kind(value))
        bindings.wasmtime_pooling_allocation_strategy_set(config.ptr(), pool)
    finally:
        bindings.wasmtime_pooling_allocation_config_delete(pool)


def _processor_features() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    for line in text.splitlines():
        if line.startswith(("flags", "Features")):
            return line
    return platform.processor()

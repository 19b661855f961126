"""Making the two engines by their settings."""

from ctypes import c_size_t, c_uint32
from typing import Final

import wasmtime
from wasmtime import _bindings as bindings

from mvm_ci.adapters.wasm.engine_settings import HOST_STACK_BYTES, MAX_MEMORY_BYTES, SETTINGS
from mvm_ci.ports.guest import ModuleKind

_STACK_KEPT: Final = 64 << 10
_TABLE_KEPT: Final = 4096


def make_engine(kind: ModuleKind, slots: int = 1, kept_bytes: int = 0) -> wasmtime.Engine:
    """A new engine for guests of ``kind``. Where they are pooled: for ``slots`` of them at once, each leaving
    ``kept_bytes`` of its memory to the next one. Neither changes what compiled code may assume.
    """
    settings = SETTINGS[kind]
    config = wasmtime.Config()
    config.epoch_interruption = True
    config.wasm_component_model = settings.component_model
    config.memory_reservation = settings.memory_reservation
    config.max_wasm_stack = settings.max_wasm_stack
    bindings.wasmtime_config_async_stack_size_set(config.ptr(), settings.max_wasm_stack + HOST_STACK_BYTES)
    # Not needed by any guest, and each one more way to use memory or to differ between machines.
    config.wasm_threads = False
    config.wasm_memory64 = False
    config.wasm_multi_memory = False
    config.wasm_gc = False
    config.wasm_exceptions = False
    config.wasm_relaxed_simd = False
    bindings.wasmtime_config_wasm_component_model_async_set(config.ptr(), settings.concurrency)
    bindings.wasmtime_config_concurrency_support_set(config.ptr(), settings.concurrency)
    config.cranelift_nan_canonicalization = True
    if settings.pooled:
        _use_pool(config, slots, kept_bytes)
    return wasmtime.Engine(config)


def _use_pool(config: wasmtime.Config, slots: int, kept_bytes: int) -> None:
    pool = bindings.wasmtime_pooling_allocation_config_new()
    try:
        for setting, kind, value in (
            ("total_core_instances", c_uint32, slots),
            ("total_memories", c_uint32, slots),
            ("total_stacks", c_uint32, slots),
            ("total_tables", c_uint32, 4 * slots),
            ("max_tables_per_module", c_uint32, 4),
            ("table_elements", c_size_t, 100_000),
            ("max_memory_size", c_size_t, MAX_MEMORY_BYTES),
            ("linear_memory_keep_resident", c_size_t, kept_bytes),
            ("table_keep_resident", c_size_t, min(kept_bytes, _TABLE_KEPT)),
            ("async_stack_keep_resident", c_size_t, min(kept_bytes, _STACK_KEPT)),
        ):
            setter = getattr(bindings, f"wasmtime_pooling_allocation_config_{setting}_set")
            setter(pool, kind(value))
        bindings.wasmtime_pooling_allocation_strategy_set(config.ptr(), pool)
    finally:
        bindings.wasmtime_pooling_allocation_config_delete(pool)

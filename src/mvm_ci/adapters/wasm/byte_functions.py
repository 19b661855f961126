"""The random bytes of components, as own callbacks.

The package turns a list of bytes into values one by one in Python, 1.2 µs each; ``random.seed()`` of CPython
reads 2.5 KB of randomness. Here the values are joined from ready-made images.
"""

import ctypes
from ctypes import byref, c_void_p
from typing import Any, Final

import wasmtime
from wasmtime import _bindings as bindings
from wasmtime import _ffi as ffi
from wasmtime.component import LinkerInstance

from mvm_ci.adapters.wasm.capi import address
from mvm_ci.adapters.wasm.component_values import U64, check_types
from mvm_ci.adapters.wasm.current_run import CurrentRun, Run
from mvm_ci.adapters.wasm.failures import guest_failed
from mvm_ci.adapters.wasm.overrides import WASI_VERSION
from mvm_ci.domain.outcome import FailureKind

RANDOM_BYTES: Final = {
    f"wasi:random/random@{WASI_VERSION}": "get-random-bytes",
    f"wasi:random/insecure@{WASI_VERSION}": "get-insecure-random-bytes",
}
_MAX_BYTES: Final = 1 << 20
_LIST: Final = ffi.WASMTIME_COMPONENT_LIST.value
_NO_FINALIZER: Final = ctypes.CFUNCTYPE(None, c_void_p)(0)


def _image(byte: int) -> bytes:
    value = bindings.wasmtime_component_val_t()
    value.kind = ffi.WASMTIME_COMPONENT_U8
    value.of.u8 = byte
    return bytes(value)


_IMAGES: Final = tuple(_image(byte) for byte in range(256))


def _random(run: Run, size: int) -> bytes:
    if size > _MAX_BYTES:
        raise guest_failed(
            FailureKind.ERROR, f"asked for {size} random bytes at once; at most {_MAX_BYTES} are allowed"
        )
    return run.host.random(size)


def add_random_bytes(instance: LinkerInstance, name: str, current: CurrentRun) -> Any:
    """Defines ``name`` in ``instance``; the result must live as long as the linker."""

    def call(_env: int, _context: Any, _type: Any, arguments: Any, n: int, results: Any, m: int) -> int:
        run = None
        try:
            run = current.get()
            run.check()
            check_types(name, (U64,), arguments, n, m)
            data = _random(run, arguments[0].of.u64)
            images = b"".join([_IMAGES[byte] for byte in data])
            values = (bindings.wasmtime_component_val_t * len(data)).from_buffer_copy(images)
            results[0].kind = _LIST
            bindings.wasmtime_component_vallist_new(byref(results[0].of.list), len(data), values)
            return 0
        except BaseException as error:
            if run is not None:
                run.keep(error)
            return address(wasmtime.WasmtimeError("unwound by the host")._consume())

    callback = bindings.wasmtime_component_func_callback_t(call)
    encoded = name.encode()
    error = bindings.wasmtime_component_linker_instance_add_func(
        instance.ptr(), ctypes.create_string_buffer(encoded), len(encoded), callback, None, _NO_FINALIZER
    )
    if error:  # type: ignore[truthy-bool]  # a null pointer is false
        raise wasmtime.WasmtimeError._from_ptr(error)
    return callback

"""The few functions of wasmtime's C API that the hot path of core modules calls itself.

Through the package a no-op job costs twice as much. Each function has its own prototype object, so the
package's own declarations stay as they are. Calls that may run a guest release the interpreter's lock, the
short ones keep it.
"""

import ctypes
from collections.abc import Callable
from ctypes import POINTER, c_bool, c_int64, c_size_t, c_uint64, c_void_p
from typing import Any, Final

import wasmtime
from wasmtime import _bindings as bindings

# Trap or null; arguments: environment, caller, the values (16 bytes each, the result goes into the first),
# their number.
HOST_FUNCTION: Final = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_void_p, c_void_p, c_size_t)
VALUE_BYTES: Final = 16
EXTERN_BYTES: Final = ctypes.sizeof(bindings.wasmtime_extern_t)
ITEM_OFFSET: Final = bindings.wasmtime_extern_t.of.offset
INSTANCE_BYTES: Final = ctypes.sizeof(bindings.wasmtime_instance_t)

_NAME: Final = bindings.dll._name
_releasing: Final = ctypes.CDLL(_NAME)
_keeping: Final = ctypes.PyDLL(_NAME)


def _declare(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    prototype = ctypes.CFUNCTYPE if library is _releasing else ctypes.PYFUNCTYPE
    return prototype(result, *arguments)((name, library))


store_new: Final = _declare(_keeping, "wasmtime_store_new", c_void_p, c_void_p, c_void_p, c_void_p)
store_delete: Final = _declare(_releasing, "wasmtime_store_delete", None, c_void_p)
store_context: Final = _declare(_keeping, "wasmtime_store_context", c_void_p, c_void_p)
store_limiter: Final = _declare(
    _keeping, "wasmtime_store_limiter", None, c_void_p, c_int64, c_int64, c_int64, c_int64, c_int64
)
set_epoch_deadline: Final = _declare(
    _keeping, "wasmtime_context_set_epoch_deadline", None, c_void_p, c_uint64
)
pre_instantiate: Final = _declare(
    _releasing, "wasmtime_instance_pre_instantiate", c_void_p, c_void_p, c_void_p, c_void_p, c_void_p
)
export_get: Final = _declare(
    _keeping, "wasmtime_instance_export_get", c_bool, c_void_p, c_void_p, ctypes.c_char_p, c_size_t, c_void_p
)
caller_export_get: Final = _declare(
    _keeping, "wasmtime_caller_export_get", c_bool, c_void_p, ctypes.c_char_p, c_size_t, c_void_p
)
caller_context: Final = _declare(_keeping, "wasmtime_caller_context", c_void_p, c_void_p)
call_unchecked: Final = _declare(
    _releasing, "wasmtime_func_call_unchecked", c_void_p, c_void_p, c_void_p, c_void_p, c_size_t, c_void_p
)
memory_data: Final = _declare(_keeping, "wasmtime_memory_data", c_void_p, c_void_p, c_void_p)
memory_size: Final = _declare(_keeping, "wasmtime_memory_data_size", c_size_t, c_void_p, c_void_p)
trap_new: Final = _declare(_keeping, "wasmtime_trap_new", c_void_p, ctypes.c_char_p, c_size_t)
_define: Final = _declare(
    _keeping,
    "wasmtime_linker_define_func_unchecked",
    c_void_p,
    c_void_p,
    ctypes.c_char_p,
    c_size_t,
    ctypes.c_char_p,
    c_size_t,
    c_void_p,
    HOST_FUNCTION,
    c_void_p,
    c_void_p,
)


def address(pointer: Any) -> int:
    """The address of one of the package's objects; 0 if it is null."""
    return ctypes.cast(pointer, c_void_p).value or 0


def define(linker: wasmtime.Linker, module: str, name: str, kind: wasmtime.FuncType, function: Any) -> None:
    """Adds ``function``, a ``HOST_FUNCTION`` that outlives the linker."""
    first, second = module.encode(), name.encode()
    error = _define(
        address(linker.ptr()),
        first,
        len(first),
        second,
        len(second),
        address(kind.ptr()),
        function,
        None,
        None,
    )
    if error:
        raise take_error(error)


def take_error(pointer: int) -> wasmtime.WasmtimeError:
    """The error at ``pointer``, which is owned by the result from now on."""
    error: wasmtime.WasmtimeError = wasmtime.WasmtimeError._from_ptr(
        ctypes.cast(pointer, POINTER(bindings.wasmtime_error_t))
    )
    return error


def take_trap(pointer: int) -> wasmtime.Trap:
    """The trap at ``pointer``, which is owned by the result from now on."""
    return wasmtime.Trap._from_ptr(ctypes.cast(pointer, POINTER(bindings.wasm_trap_t)))

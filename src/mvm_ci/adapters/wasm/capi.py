"""The functions of wasmtime's C API that the hot path calls itself.

Through the package a no-op job costs several times as much, and it has no fibers. Each function has its own
prototype object, so the package's own declarations stay as they are. Calls that may run a guest release the
interpreter's lock, the short ones keep it.
"""

import ctypes
from collections.abc import Callable
from ctypes import POINTER, c_bool, c_char_p, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any, Final

import wasmtime
from wasmtime import _bindings as bindings
from wasmtime import _ffi as ffi

HOST_FUNCTION: Final = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_void_p, c_void_p, c_size_t)
"""Trap or null; arguments: environment, caller, the values (16 bytes each, the result goes into the first),
their number.
"""
WAITING_FUNCTION: Final = ctypes.CFUNCTYPE(
    None, *(c_void_p, c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, c_void_p, c_void_p)
)
"""Arguments: environment, caller, the values (``VALUE_BYTES`` each), their number, the results, their number,
where a trap goes, where the continuation goes. Values and results stay where they are until it ends.
"""
COMPONENT_FUNCTION: Final = ctypes.CFUNCTYPE(
    c_void_p, *(c_void_p, c_void_p, c_void_p, c_void_p, c_size_t, c_void_p, c_size_t)
)
"""Error or null; arguments: environment, context, type, the values, their number, results, their number."""
COMPONENT_WAITING_FUNCTION: Final = ctypes.CFUNCTYPE(
    None, *(c_void_p, c_void_p, c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, c_void_p, c_void_p)
)
"""The same of a component: environment, context, type, values, their number, results, their number, where an
error goes, where the continuation goes.
"""
DESTRUCTOR: Final = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_void_p, c_uint32)
"""Error or null; arguments: environment, context, the number that stands for the resource."""
CONTINUATION: Final = ctypes.CFUNCTYPE(c_bool, c_void_p)
"""Whether the host call is over; asked at each poll."""
VALUE_BYTES: Final = ctypes.sizeof(bindings.wasmtime_val_t)
VALUE_OFFSET: Final = bindings.wasmtime_val_t.of.offset
EXTERN_BYTES: Final = ctypes.sizeof(bindings.wasmtime_extern_t)
ITEM_OFFSET: Final = bindings.wasmtime_extern_t.of.offset
MEMORY: Final = bytes([ffi.WASMTIME_EXTERN_MEMORY.value])
"""What an extern that is a memory begins with."""
INSTANCE_BYTES: Final = ctypes.sizeof(bindings.wasmtime_instance_t)

_NAME: Final = bindings.dll._name
_releasing: Final = ctypes.CDLL(_NAME)
_keeping: Final = ctypes.PyDLL(_NAME)


def _declare(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    prototype = ctypes.CFUNCTYPE if library is _releasing else ctypes.PYFUNCTYPE
    return prototype(result, *arguments)((name, library))


def _addresses(count: int) -> tuple[Any, ...]:
    return (c_void_p,) * count


store_new: Final = _declare(_keeping, "wasmtime_store_new", c_void_p, *_addresses(3))
store_delete: Final = _declare(_releasing, "wasmtime_store_delete", None, c_void_p)
store_context: Final = _declare(_keeping, "wasmtime_store_context", c_void_p, c_void_p)
store_limiter: Final = _declare(_keeping, "wasmtime_store_limiter", None, c_void_p, *(c_int64,) * 5)
_set_epoch_deadline: Final = _declare(
    _keeping, "wasmtime_context_set_epoch_deadline", None, c_void_p, c_uint64
)
_yield_at_deadline: Final = _declare(
    _keeping, "wasmtime_context_epoch_deadline_async_yield_and_update", c_void_p, c_void_p, c_uint64
)
increment_epoch: Final = _declare(_keeping, "wasmtime_engine_increment_epoch", None, c_void_p)

pre_instantiate: Final = _declare(
    _keeping, "wasmtime_instance_pre_instantiate_async", c_void_p, *_addresses(5)
)
call: Final = _declare(
    _keeping, "wasmtime_func_call_async", *_addresses(4), c_size_t, c_void_p, c_size_t, *_addresses(2)
)
future_poll: Final = _declare(_releasing, "wasmtime_call_future_poll", c_bool, c_void_p)
future_delete: Final = _declare(_releasing, "wasmtime_call_future_delete", None, c_void_p)

export_get: Final = _declare(
    _keeping, "wasmtime_instance_export_get", c_bool, c_void_p, c_void_p, c_char_p, c_size_t, c_void_p
)
caller_export_get: Final = _declare(
    _keeping, "wasmtime_caller_export_get", c_bool, c_void_p, c_char_p, c_size_t, c_void_p
)
caller_context: Final = _declare(_keeping, "wasmtime_caller_context", c_void_p, c_void_p)
memory_data: Final = _declare(_keeping, "wasmtime_memory_data", *_addresses(3))
memory_size: Final = _declare(_keeping, "wasmtime_memory_data_size", c_size_t, *_addresses(2))
trap_new: Final = _declare(_keeping, "wasmtime_trap_new", c_void_p, c_char_p, c_size_t)

component_instantiate: Final = _declare(
    _keeping, "wasmtime_component_linker_instantiate_async", c_void_p, *_addresses(5)
)
component_call: Final = _declare(
    _keeping,
    "wasmtime_component_func_call_async",
    *(c_void_p, c_void_p, c_void_p, c_void_p, c_size_t, c_void_p, c_size_t, c_void_p),
)
component_function: Final = _declare(_keeping, "wasmtime_component_instance_get_func", c_bool, *_addresses(4))
component_value_delete: Final = _declare(_keeping, "wasmtime_component_val_delete", None, c_void_p)
component_value_new: Final = _declare(_keeping, "wasmtime_component_val_new", c_void_p, c_void_p)
component_value_clone: Final = _declare(_keeping, "wasmtime_component_val_clone", None, *_addresses(2))
list_new: Final = _declare(_keeping, "wasmtime_component_vallist_new", None, c_void_p, c_size_t, c_void_p)
record_new: Final = _declare(_keeping, "wasmtime_component_valrecord_new", None, c_void_p, c_size_t, c_void_p)
tuple_new: Final = _declare(_keeping, "wasmtime_component_valtuple_new", None, c_void_p, c_size_t, c_void_p)
flags_new: Final = _declare(_keeping, "wasmtime_component_valflags_new", None, c_void_p, c_size_t, c_void_p)
resource_to_host: Final = _declare(_keeping, "wasmtime_component_resource_any_to_host", *_addresses(4))
resource_from_host: Final = _declare(_keeping, "wasmtime_component_resource_host_to_any", *_addresses(4))
resource_drop: Final = _declare(_keeping, "wasmtime_component_resource_any_drop", *_addresses(3))
resource_new: Final = _declare(
    _keeping, "wasmtime_component_resource_host_new", c_void_p, c_bool, c_uint32, c_uint32
)
resource_number: Final = _declare(_keeping, "wasmtime_component_resource_host_rep", c_uint32, c_void_p)
resource_delete: Final = _declare(_keeping, "wasmtime_component_resource_host_delete", None, c_void_p)
error_new: Final = _declare(_keeping, "wasmtime_error_new", c_void_p, c_char_p)
byte_vec_new: Final = _declare(_keeping, "wasm_byte_vec_new", None, c_void_p, c_size_t, c_char_p)

_NAMED: Final = (c_void_p, c_char_p, c_size_t, c_char_p, c_size_t)
_define: Final = _declare(
    _keeping,
    "wasmtime_linker_define_func_unchecked",
    *(c_void_p, *_NAMED, c_void_p, HOST_FUNCTION, c_void_p, c_void_p),
)
_define_waiting: Final = _declare(
    _keeping,
    "wasmtime_linker_define_async_func",
    *(c_void_p, *_NAMED, c_void_p, WAITING_FUNCTION, c_void_p, c_void_p),
)
_component_define: Final = _declare(
    _keeping,
    "wasmtime_component_linker_instance_add_func",
    *(c_void_p, c_void_p, c_char_p, c_size_t, COMPONENT_FUNCTION, c_void_p, c_void_p),
)
_component_define_resource: Final = _declare(
    _keeping,
    "wasmtime_component_linker_instance_add_resource",
    *(c_void_p, c_void_p, c_char_p, c_size_t, c_void_p, DESTRUCTOR, c_void_p, c_void_p),
)
_component_define_waiting: Final = _declare(
    _keeping,
    "wasmtime_component_linker_instance_add_func_async",
    *(c_void_p, c_void_p, c_char_p, c_size_t, COMPONENT_WAITING_FUNCTION, c_void_p, c_void_p),
)
_component_add_wasi: Final = _declare(
    _keeping, "wasmtime_component_linker_add_wasip2_async", c_void_p, c_void_p
)


def address(pointer: Any) -> int:
    """The address of one of the package's objects; 0 if it is null."""
    return ctypes.cast(pointer, c_void_p).value or 0


def define(linker: wasmtime.Linker, module: str, name: str, kind: wasmtime.FuncType, function: Any) -> None:
    """Adds ``function``, a ``HOST_FUNCTION`` or ``WAITING_FUNCTION`` that outlives the linker."""
    first, second = module.encode(), name.encode()
    add = _define_waiting if isinstance(function, WAITING_FUNCTION) else _define
    names = (first, len(first), second, len(second))
    _raise(add(address(linker.ptr()), *names, address(kind.ptr()), function, None, None))


def define_in_component(instance: Any, name: str, function: Any) -> None:
    """Adds ``function``, a ``COMPONENT_FUNCTION`` or ``COMPONENT_WAITING_FUNCTION`` that outlives the linker,
    to a ``LinkerInstance``.
    """
    encoded = name.encode()
    add = _component_define_waiting if isinstance(function, COMPONENT_WAITING_FUNCTION) else _component_define
    _raise(add(address(instance.ptr()), encoded, len(encoded), function, None, None))


def define_resource(instance: Any, name: str, kind: Any, destructor: Any) -> None:
    """Adds the resource ``name``, of a ``ResourceType``. ``destructor``: a ``DESTRUCTOR`` that outlives the
    linker.
    """
    encoded = name.encode()
    at, kind_at = address(instance.ptr()), address(kind.ptr())
    _raise(_component_define_resource(at, encoded, len(encoded), kind_at, destructor, None, None))


def add_wasi(linker: Any) -> None:
    """WASI preview 2 for guests on fibers, in a component's linker."""
    _raise(_component_add_wasi(address(linker.ptr())))


def slice_time(context: int) -> None:
    """A guest of this store gives way at each tick of its engine's epoch."""
    _yield_at_deadline(context, 1)
    _set_epoch_deadline(context, 1)


def _raise(error: int | None) -> None:
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

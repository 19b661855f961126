"""Values of components as the C API holds them, and host functions of components that may wait."""

import ctypes
from collections.abc import Callable, Coroutine
from ctypes import c_uint64
from typing import Any, Final

from wasmtime import _bindings as bindings
from wasmtime import _ffi as ffi

from mvm_ci.adapters.wasm import capi
from mvm_ci.adapters.wasm.current_run import CurrentRun, Run

Value: Final = bindings.wasmtime_component_val_t
_STRING: Final = ffi.WASMTIME_COMPONENT_STRING.value
_RESULT: Final = ffi.WASMTIME_COMPONENT_RESULT.value
_UNWIND: Final = b"unwound by the host"

Prepare = Callable[[Run, int, Any, Any], Coroutine[Any, Any, None]]
"""Gets the run, its context's address, the arguments (a pointer to ``Value``) and where the result goes (a
``Value``). It is called while the guest is on the thread, and the arguments are gone on its return; the
coroutine runs when the guest is suspended, and the result stays where it is until then.
"""
_Values: Final = ctypes.POINTER(Value)


def text(value: Any) -> bytes:
    """The bytes of a string."""
    return ctypes.string_at(value.of.string.data, value.of.string.size)


def set_text(value: Any, data: bytes) -> None:
    """Makes ``value``, which is uninitialized, a string of ``data`` (UTF-8)."""
    value.kind = _STRING
    capi.byte_vec_new(ctypes.addressof(value.of.string), len(data), data)


def result_text(value: Any) -> tuple[bool, bytes] | None:
    """Whether a ``result<string, string>`` is ok, and its string; None if the value is something else."""
    if value.kind != _RESULT or not value.of.result.val:
        return None
    inner = value.of.result.val[0]
    return (bool(value.of.result.is_ok), text(inner)) if inner.kind == _STRING else None


def waiting(current: CurrentRun, prepare: Prepare) -> Any:
    """A host function with one result that suspends its guest until it has that."""

    def call(
        _environment: int,
        context: int,
        _type: int,
        arguments: int,
        _count: int,
        results: int,
        _results: int,
        error_at: int,
        then: int,
    ) -> None:
        current.suspend(then)
        run = None
        try:
            run = current.get()
            run.check()
            run.pending = prepare(run, context, ctypes.cast(arguments, _Values), Value.from_address(results))
        except BaseException as error:
            if run is not None:
                run.keep(error)
            c_uint64.from_address(error_at).value = capi.error_new(_UNWIND)

    return capi.COMPONENT_WAITING_FUNCTION(call)

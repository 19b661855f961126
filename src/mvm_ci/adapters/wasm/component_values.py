"""Values of components as the C API holds them, and host functions of components that may wait."""

import ctypes
from collections.abc import Callable, Coroutine
from ctypes import c_uint64
from typing import Any, Final

from wasmtime import _bindings as bindings
from wasmtime import _ffi as ffi

from mvm_ci.adapters.wasm import capi
from mvm_ci.adapters.wasm.current_run import CurrentRun, Run
from mvm_ci.adapters.wasm.failures import guest_failed
from mvm_ci.domain.outcome import FailureKind
from mvm_ci.ports.guest import GuestFailed

Value: Final = bindings.wasmtime_component_val_t
STRING: Final = ffi.WASMTIME_COMPONENT_STRING.value
U64: Final = ffi.WASMTIME_COMPONENT_U64.value
_RESULT: Final = ffi.WASMTIME_COMPONENT_RESULT.value
_UNWIND: Final = b"unwound by the host"

Prepare = Callable[[Run, int, Any, Any], Coroutine[Any, Any, None]]
"""Gets the run, its context's address, the arguments (a pointer to ``Value``) and where the result goes (a
``Value``). It is called while the guest is on the thread, and the arguments are gone on its return; the
coroutine runs when the guest is suspended, and the result stays where it is until then.
"""
Waiting = tuple[tuple[int, ...], Prepare]
"""The kinds of a function's parameters, and what it does."""
_Values: Final = ctypes.POINTER(Value)


def size(value: Any) -> int:
    """The bytes of a string, counted."""
    return int(value.of.string.size)


def text(value: Any) -> bytes:
    """The bytes of a string."""
    return ctypes.string_at(value.of.string.data, value.of.string.size)


def check_types(name: str, kinds: tuple[int, ...], values: Any, count: int, results: int) -> None:
    """Raises ``GuestFailed`` unless the values of a call are of these kinds, and it has one result.

    The linker takes an import of any type for a host function, and a value is read as what it is taken for.
    """
    given = tuple(values[index].kind for index in range(count))
    if given != kinds or results != 1:
        raise _another_type(name)


def check_no_arguments(name: str, arguments: tuple[Any, ...]) -> None:
    """The same for a function without arguments that the package calls; that checks the result."""
    if arguments:
        raise _another_type(name)


def _another_type(name: str) -> GuestFailed:
    return guest_failed(FailureKind.MODULE, f"imports {name} with another type than it has")


def set_text(value: Any, data: bytes) -> None:
    """Makes ``value``, which is uninitialized, a string of ``data`` (UTF-8)."""
    value.kind = STRING
    capi.byte_vec_new(ctypes.addressof(value.of.string), len(data), data)


def result_string(value: Any) -> tuple[bool, Any] | None:
    """Whether a ``result<string, string>`` is ok, and its string; None if the value is something else."""
    if value.kind != _RESULT or not value.of.result.val:
        return None
    inner = value.of.result.val[0]
    return (bool(value.of.result.is_ok), inner) if inner.kind == STRING else None


def waiting(current: CurrentRun, name: str, function: Waiting) -> Any:
    """A host function with one result that suspends its guest until it has that."""
    kinds, prepare = function

    def call(
        _environment: int,
        context: int,
        _type: int,
        arguments: int,
        count: int,
        results: int,
        results_count: int,
        error_at: int,
        then: int,
    ) -> None:
        current.suspend(then)
        run = None
        try:
            run = current.get()
            run.check()
            values = ctypes.cast(arguments, _Values)
            check_types(name, kinds, values, count, results_count)
            run.pending = prepare(run, context, values, Value.from_address(results))
        except BaseException as error:
            if run is not None:
                run.keep(error)
            c_uint64.from_address(error_at).value = capi.error_new(_UNWIND)

    return capi.COMPONENT_WAITING_FUNCTION(call)

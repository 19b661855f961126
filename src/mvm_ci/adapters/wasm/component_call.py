"""An instance of a component in a store of its own, and calls of its functions, on fibers."""

from ctypes import addressof, c_void_p
from typing import Any

from wasmtime import _bindings as bindings
from wasmtime.component import Component, ExportIndex, Linker

from mvm_ci.adapters.wasm import capi
from mvm_ci.adapters.wasm.current_run import CurrentRun, Run
from mvm_ci.adapters.wasm.failures import from_wasmtime, guest_failed
from mvm_ci.domain.outcome import FailureKind


class ComponentCall:
    """``context``: address of the store's context, which outlives this."""

    def __init__(self, current: CurrentRun, run: Run, context: int) -> None:
        self._current = current
        self._run = run
        self._context = context
        self._instance = bindings.wasmtime_component_instance_t()
        self._error = c_void_p()

    async def instantiate(self, linker: Linker, component: Component) -> None:
        """Raises ``GuestFailed``, and what a host call raised."""
        linker_at, component_at = capi.address(linker.ptr()), capi.address(component.ptr())
        at, error_at = addressof(self._instance), addressof(self._error)
        future = capi.component_instantiate(linker_at, self._context, component_at, at, error_at)
        await self._drive(future, FailureKind.MODULE)

    async def call(self, export: ExportIndex, arguments: Any, results: Any) -> None:
        """Calls the function ``export``; ``arguments`` and ``results`` are arrays of values, owned by the
        caller. Raises ``GuestFailed``, and what a host call raised.
        """
        function = bindings.wasmtime_component_func_t()
        at, index_at = addressof(function), capi.address(export.ptr())
        if not capi.component_function(addressof(self._instance), self._context, index_at, at):
            raise guest_failed(FailureKind.MODULE, "the component exports no such function")
        given, taken = (addressof(arguments), len(arguments)), (addressof(results), len(results))
        future = capi.component_call(at, self._context, *given, *taken, addressof(self._error))
        # What is no trap is a value that the guest handed over, and that is none.
        await self._drive(future, FailureKind.TRAP)

    async def _drive(self, future: int, otherwise: FailureKind) -> None:
        if not self._current.first(self._run, future):
            await self._current.drive(self._run, future)
        if self._error.value:
            cause = capi.take_error(self._error.value)
            self._run.check()
            raise from_wasmtime(cause, otherwise) from cause

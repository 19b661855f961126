"""Core modules: loaded once, linked once, and for each run a fresh instance through the C API."""

import ctypes
from ctypes import c_void_p
from typing import Final

import wasmtime

from mvm_ci.adapters.wasm import capi, preview1
from mvm_ci.adapters.wasm.core_host import OWN_FUNCTIONS, CoreHost, CoreRun
from mvm_ci.adapters.wasm.current_run import CurrentRun
from mvm_ci.adapters.wasm.failures import from_wasmtime, guest_failed
from mvm_ci.domain.errors import BadModule
from mvm_ci.domain.module import CORE_HOST_MODULE, WASI_PREVIEW1
from mvm_ci.domain.outcome import FailureKind
from mvm_ci.ports.guest import GuestLimits, HostCalls

_INSTANCES: Final = 1
_TABLES: Final = 4
_MEMORIES: Final = 1


class CoreLoader:
    """The engine of core modules and their one linker."""

    def __init__(self, engine: wasmtime.Engine, current: CurrentRun) -> None:
        self._engine = engine
        self._current = current
        self._host = CoreHost(engine, current)
        self._host.add(CORE_HOST_MODULE, OWN_FUNCTIONS)
        self._host.add(WASI_PREVIEW1, preview1.FUNCTIONS)

    def load(self, path: str) -> "CoreGuest":
        """The guest in the compiled file at ``path``. Raises ``BadModule``."""
        try:
            module = wasmtime.Module.deserialize_file(self._engine, path)
            entries = _entries(module)
            linked = self._host.linker.instantiate_pre(module)
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            raise BadModule(f"it cannot be linked: {str(error).splitlines()[0]}") from error
        return CoreGuest(self._engine, self._current, linked, entries)


def _entries(module: wasmtime.Module) -> list[tuple[bytes, bool]]:
    """The exports to call, in order, and whether each returns a status. Unchecked calls rely on this
    check.
    """
    functions = {
        export.name: export.type for export in module.exports if isinstance(export.type, wasmtime.FuncType)
    }
    entry = "run" if "run" in functions else "_start"
    found = []
    for name in ("_initialize", entry):
        kind = functions.get(name)
        if kind is None:
            if name == "_initialize":
                continue
            raise BadModule("exports no function run or _start")
        results = [str(result) for result in kind.results]
        expected = ["i32"] if name == "run" else []
        if kind.params or results != expected:
            raise BadModule(
                f"its export {name} must take nothing and return {'an i32' if expected else 'nothing'}"
            )
        found.append((name.encode(), bool(expected)))
    return found


class CoreGuest:
    """A linked core module; implements ``ports.guest.Guest``."""

    def __init__(
        self,
        engine: wasmtime.Engine,
        current: CurrentRun,
        linked: wasmtime.InstancePre,
        entries: list[tuple[bytes, bool]],
    ) -> None:
        self._engine = engine
        self._current = current
        self._linked = linked
        self._entries = entries
        self._engine_at = capi.address(engine.ptr())
        self._linked_at = capi.address(linked.ptr())

    def run(self, payload: bytes, host: HostCalls, limits: GuestLimits) -> bytes:
        """See ``ports.guest.Guest.run``."""
        run = CoreRun(self._engine, payload, host, limits)
        store = capi.store_new(self._engine_at, None, None)
        try:
            context = capi.store_context(store)
            capi.store_limiter(
                store, limits.memory_bytes, limits.table_elements, _INSTANCES, _TABLES, _MEMORIES
            )
            capi.set_epoch_deadline(context, 1)
            self._current.begin(run)
            try:
                status = self._call(run, context)
            finally:
                self._current.end()
        finally:
            capi.store_delete(store)
        if run.interruption is not None:
            raise run.interruption
        run.flush()
        if status != 0 or run.error_text is not None:
            raise guest_failed(FailureKind.ERROR, run.error_text or f"exit code {status}")
        return run.output

    def _call(self, run: CoreRun, context: int) -> int:
        """Instantiates and calls the entries; the status of the last one, 0 if it has none."""
        trap = c_void_p()
        trap_at = ctypes.addressof(trap)
        instance = ctypes.create_string_buffer(capi.INSTANCE_BYTES)
        instance_at = ctypes.addressof(instance)
        error = capi.pre_instantiate(self._linked_at, context, instance_at, trap_at)
        if error or trap.value:
            return _unwound(run, error, trap.value)
        export = ctypes.create_string_buffer(capi.EXTERN_BYTES)
        export_at = ctypes.addressof(export)
        function_at = export_at + capi.ITEM_OFFSET
        value = ctypes.c_uint32(0)
        values = ctypes.create_string_buffer(capi.VALUE_BYTES)
        for name, has_status in self._entries:
            if not capi.export_get(context, instance_at, name, len(name), export_at):
                raise guest_failed(FailureKind.MODULE, f"the guest exports no function {name.decode()}")
            error = capi.call_unchecked(context, function_at, values, 1, trap_at)
            if error or trap.value:
                return _unwound(run, error, trap.value)
            value = ctypes.c_uint32.from_buffer(values) if has_status else ctypes.c_uint32(0)
        return value.value


def _unwound(run: CoreRun, error: int | None, trap: int | None) -> int:
    """Raises why the guest was unwound; a guest that called ``proc_exit`` has its status as result."""
    cause = capi.take_error(error) if error else None
    stopped = capi.take_trap(trap) if trap else None
    if run.interruption is not None:
        raise run.interruption
    if isinstance(run.outcome, preview1.Exited):
        return run.outcome.status
    if run.outcome is not None:
        raise run.outcome
    if cause is not None:
        raise from_wasmtime(cause) from cause
    if stopped is not None:
        raise from_wasmtime(stopped) from stopped
    raise RuntimeError("the guest was unwound without a reason")

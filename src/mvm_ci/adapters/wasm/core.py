"""Core modules: loaded once, linked once, and for each run a fresh instance on a fiber of its own."""

import ctypes
from collections.abc import Callable
from typing import Final

import wasmtime

from mvm_ci.adapters.wasm import capi, preview1
from mvm_ci.adapters.wasm.core_host import OWN_FUNCTIONS, OWN_WAITING, CoreHost, CoreRun
from mvm_ci.adapters.wasm.current_run import CurrentRun
from mvm_ci.adapters.wasm.engine_settings import KEPT_BYTES, QUICK_SLOTS
from mvm_ci.adapters.wasm.engines import make_engine
from mvm_ci.adapters.wasm.failures import from_wasmtime, guest_failed, out_of_memory
from mvm_ci.domain.errors import BadModule
from mvm_ci.domain.module import CORE_HOST_MODULE, WASI_PREVIEW1
from mvm_ci.domain.outcome import FailureKind
from mvm_ci.ports.guest import RUNTIME_GUESTS, GuestLimits, HostCalls, ModuleKind

_INSTANCES: Final = 1
_TABLES: Final = 4
_MEMORIES: Final = 1

# What a run hands to the engine: one buffer, so that it is made and found once.
_ERROR: Final = 0
_TRAP: Final = 8
_RESULT: Final = 16
_INSTANCE: Final = 64
_FUNCTION: Final = 64 + (capi.INSTANCE_BYTES + 15) // 16 * 16
_FINE: Final = bytes(_RESULT)
_Scratch: Final = ctypes.c_char * (_FUNCTION + capi.EXTERN_BYTES)


class Slots:
    """An engine with a place for ``room`` guests at once, and the linker that belongs to it."""

    def __init__(self, room: int, kept_bytes: int, current: CurrentRun) -> None:
        self.engine: Final = make_engine(ModuleKind.CORE, room, kept_bytes)
        self.room: Final = room
        self.taken = 0
        self._host = CoreHost(self.engine, current)
        self._host.add(CORE_HOST_MODULE, OWN_FUNCTIONS)
        self._host.add_waiting(CORE_HOST_MODULE, OWN_WAITING)
        self._host.add(WASI_PREVIEW1, preview1.FUNCTIONS)
        self._host.add_waiting(WASI_PREVIEW1, preview1.WAITING)

    def link(self, path: str) -> "Linked":
        """The module in the compiled file at ``path``. Raises ``BadModule``."""
        try:
            module = wasmtime.Module.deserialize_file(self.engine, path)
            entries = _entries(module)
            return Linked(self, self._host.linker.instantiate_pre(module), entries)
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            if out_of_memory(error):
                raise MemoryError(str(error)) from error
            raise BadModule(f"it cannot be linked: {str(error).splitlines()[0]}") from error


class Linked:
    """A module that is ready to be instantiated in ``slots``."""

    def __init__(self, slots: Slots, linked: wasmtime.InstancePre, entries: list[tuple[bytes, int]]) -> None:
        self.slots: Final = slots
        self.entries: Final = entries
        self.engine_at: Final = capi.address(slots.engine.ptr())
        self.at: Final = capi.address(linked.ptr())
        # Used by address, so it must live as long as this.
        self._linked = linked


class CoreLoader:
    """Loads core modules. The first few guests at once use slots that are quick to start in; all others such
    that leave nothing behind, which are made when they are first needed.
    """

    def __init__(self, current: CurrentRun, made: Callable[[wasmtime.Engine], None]) -> None:
        """``made``: told of each engine, whose epochs end time slices."""
        self._current = current
        self._made = made
        self._quick = self._slots(QUICK_SLOTS, KEPT_BYTES)
        self._many: Slots | None = None

    def load(self, path: str) -> "CoreGuest":
        """The guest in the compiled file at ``path``. Raises ``BadModule``."""
        return CoreGuest(self._current, self._quick.link(path), lambda: self._link_many(path))

    def _link_many(self, path: str) -> Linked:
        if self._many is None:
            self._many = self._slots(RUNTIME_GUESTS, 0)
        return self._many.link(path)

    def _slots(self, room: int, kept_bytes: int) -> Slots:
        slots = Slots(room, kept_bytes, self._current)
        self._made(slots.engine)
        return slots


def _entries(module: wasmtime.Module) -> list[tuple[bytes, int]]:
    """The exports to call, in order, and how many results each has."""
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
        found.append((name.encode(), len(expected)))
    return found


class CoreGuest:
    """A loaded core module; implements ``ports.guest.Guest``."""

    def __init__(self, current: CurrentRun, quick: Linked, link_many: Callable[[], Linked]) -> None:
        self._current = current
        self._quick = quick
        self._link_many = link_many
        self._many: Linked | None = None

    async def run(self, payload: bytes, host: HostCalls, limits: GuestLimits) -> bytes:
        """See ``ports.guest.Guest.run``."""
        run = CoreRun(payload, host, limits)
        linked = self._free()
        linked.slots.taken += 1
        store = capi.store_new(linked.engine_at, None, None)
        try:
            context = capi.store_context(store)
            capi.store_limiter(
                store, limits.memory_bytes, limits.table_elements, _INSTANCES, _TABLES, _MEMORIES
            )
            capi.slice_time(context)
            status = await self._call(run, linked, context)
        finally:
            capi.store_delete(store)
            linked.slots.taken -= 1
        run.flush()
        if status != 0 or run.error_text is not None:
            raise guest_failed(FailureKind.ERROR, run.error_text or f"exit code {status}")
        return run.output

    def _free(self) -> Linked:
        """Where there is room. Raises ``BadModule`` if the machine code is gone meanwhile."""
        if self._quick.slots.taken < self._quick.slots.room:
            return self._quick
        if self._many is None:
            self._many = self._link_many()
        return self._many

    async def _call(self, run: CoreRun, linked: Linked, context: int) -> int:
        """Instantiates and calls the entries; the status of the last one, 0 if it has none."""
        scratch = _Scratch()
        at = ctypes.addressof(scratch)
        instance, function, result = at + _INSTANCE, at + _FUNCTION, at + _RESULT
        ways_out = at + _TRAP, at + _ERROR
        first, drive = self._current.first, self._current.drive
        future = capi.pre_instantiate(linked.at, context, instance, *ways_out)
        if not first(run, future):
            await drive(run, future)
        if scratch.raw[:_RESULT] != _FINE:
            return _unwound(run, scratch)
        for name, results in linked.entries:
            if not capi.export_get(context, instance, name, len(name), function):
                raise guest_failed(FailureKind.MODULE, f"the guest exports no function {name.decode()}")
            future = capi.call(context, function + capi.ITEM_OFFSET, None, 0, result, results, *ways_out)
            if not first(run, future):
                await drive(run, future)
            if scratch.raw[:_RESULT] != _FINE:
                return _unwound(run, scratch)
        status = ctypes.c_uint32.from_address(result + capi.VALUE_OFFSET).value
        # What ``at`` points into must live until here.
        del scratch
        return status


def _unwound(run: CoreRun, scratch: ctypes.Array[ctypes.c_char]) -> int:
    """Raises why the guest was unwound; a guest that called ``proc_exit`` has its status as result."""
    error, trap = (ctypes.c_uint64.from_buffer(scratch, at).value for at in (_ERROR, _TRAP))
    cause = capi.take_error(error) if error else None
    stopped = capi.take_trap(trap) if trap else None
    if isinstance(run.outcome, preview1.Exited):
        return run.outcome.status
    if run.outcome is not None:
        raise run.outcome
    if cause is not None:
        raise from_wasmtime(cause) from cause
    if stopped is not None:
        raise from_wasmtime(stopped) from stopped
    raise RuntimeError("the guest was unwound without a reason")

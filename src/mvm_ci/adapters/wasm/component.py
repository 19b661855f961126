"""Components of our WIT world (Python guests): linked and instantiated for each run."""

from collections.abc import Coroutine
from ctypes import addressof
from typing import Any, Final

import msgspec
import wasmtime
from wasmtime.component import Component, ExportIndex, Linker

from mvm_ci.adapters.wasm import capi, http_json, overrides
from mvm_ci.adapters.wasm.component_call import ComponentCall
from mvm_ci.adapters.wasm.component_host import (
    Call,
    ComponentRun,
    Waiting,
    define,
    define_resource,
    define_waiting,
)
from mvm_ci.adapters.wasm.component_images import Value, answer_at, encoded_at, place, size_at, text
from mvm_ci.adapters.wasm.current_run import CurrentRun
from mvm_ci.adapters.wasm.failures import guest_failed, out_of_memory
from mvm_ci.domain.errors import BadModule
from mvm_ci.domain.module import COMPONENT_HOST
from mvm_ci.domain.outcome import FailureKind
from mvm_ci.ports.guest import GuestFailed, GuestLimits, HostCalls

# A Python component consists of the interpreter, its libraries and adapters: many core instances, one memory.
_INSTANCES: Final = 200
_TABLES: Final = 50
_MEMORIES: Final = 10


class _GuestError(msgspec.Struct, frozen=True):
    """The error document of ``guest/wit/world.wit``."""

    message: str
    detail: str = ""
    kind: str = "error"


def _http(call: Call) -> Coroutine[Any, Any, bytes]:
    if call.size(0) > http_json.MAX_REQUEST_BYTES:
        return _refused(http_json.REQUEST_TOO_LARGE)
    return _answered(http_json.answer(call.run.host, call.encoded(0)))


def _call(call: Call) -> Coroutine[Any, Any, bytes]:
    if call.size(0) > http_json.MAX_CALL_NAME_BYTES or call.size(1) > http_json.MAX_CALL_BYTES:
        return _refused(http_json.CALL_TOO_LARGE)
    return _answered(call.run.host.call(call.text(0), call.encoded(1)))


async def _answered(answer: Coroutine[Any, Any, bytes]) -> bytes:
    return text(await answer)


async def _refused(answer: bytes) -> bytes:
    return text(answer)


_OWN: Final[dict[str, Waiting]] = {"http": _http, "call": _call}


class ComponentLoader:
    """The engine of components and their one linker."""

    def __init__(self, engine: wasmtime.Engine, current: CurrentRun) -> None:
        self.engine: Final = engine
        self.current: Final = current
        self.linker: Final = Linker(engine)
        self.linker.allow_shadowing = True
        capi.add_wasi(self.linker)
        self._alive: list[Any] = []
        waiting = {**overrides.WAITING, COMPONENT_HOST: _OWN}
        with self.linker.root() as root:
            for interface in sorted(overrides.FUNCTIONS.keys() | waiting.keys()):
                with root.add_instance(interface) as instance:
                    for name, kind in overrides.RESOURCES.get(interface, {}).items():
                        define_resource(instance, name, kind, current, self._alive)
                    define(instance, overrides.FUNCTIONS.get(interface, {}), current, self._alive)
                    define_waiting(instance, waiting.get(interface, {}), current, self._alive)

    def load(self, path: str) -> "ComponentGuest":
        """The guest in the compiled file at ``path``. Raises ``BadModule``."""
        try:
            component = Component.deserialize_file(self.engine, path)
        except wasmtime.WasmtimeError as error:
            if out_of_memory(error):
                raise MemoryError(str(error)) from error
            raise BadModule(f"it cannot be loaded: {str(error).splitlines()[0]}") from error
        entry = component.get_export_index("run")
        if entry is None:
            raise BadModule("the component exports no function run")
        return ComponentGuest(self, component, entry)


class ComponentGuest:
    """A loaded component; implements ``ports.guest.Guest``."""

    def __init__(self, loader: ComponentLoader, component: Component, entry: ExportIndex) -> None:
        self._loader = loader
        self._component = component
        self._entry = entry

    async def run(self, payload: bytes, host: HostCalls, limits: GuestLimits) -> bytes:
        """See ``ports.guest.Guest.run``. The payload must be UTF-8."""
        try:
            payload.decode()
        except UnicodeDecodeError as error:
            raise guest_failed(FailureKind.ERROR, f"the input is not UTF-8: {error}") from None
        run = ComponentRun(payload, host, limits)
        with wasmtime.Store(self._loader.engine) as store:
            store.set_limits(limits.memory_bytes, limits.table_elements, _INSTANCES, _TABLES, _MEMORIES)
            # It knows nothing: what a guest may find is replaced.
            store.set_wasi(wasmtime.WasiConfig())
            context = capi.address(store._context())
            capi.slice_time(context)
            given, answer = (Value * 1)(), (Value * 1)()
            place(addressof(given), text(payload))
            try:
                call = ComponentCall(self._loader.current, run, context)
                await call.instantiate(self._loader.linker, self._component)
                await call.call(self._entry, given, answer)
                run.flush()
                return _result(answer_at(addressof(answer)), limits)
            finally:
                for values in (given, answer):
                    capi.component_value_delete(addressof(values))


def _result(answered: tuple[bool, int] | None, limits: GuestLimits) -> bytes:
    if answered is None:
        raise guest_failed(FailureKind.MODULE, "run does not return result<string, string>")
    good, string = answered
    if size_at(string) > limits.result_bytes:
        what = "result" if good else "error"
        raise guest_failed(
            FailureKind.OUTPUT,
            f"the {what} has {size_at(string)} bytes; at most {limits.result_bytes} are allowed",
        )
    if not good:
        raise _reported(encoded_at(string))
    return encoded_at(string)


def _reported(data: bytes) -> GuestFailed:
    try:
        error = msgspec.json.decode(data, type=_GuestError)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return guest_failed(FailureKind.ERROR, data.decode(errors="replace"))
    kind = FailureKind.MEMORY if error.kind == "memory" else FailureKind.ERROR
    return guest_failed(kind, error.message, error.detail)

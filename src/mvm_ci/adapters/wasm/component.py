"""Components of our WIT world (Python guests): linked and instantiated for each run."""

from collections.abc import Coroutine
from ctypes import addressof
from typing import Any, Final

import msgspec
import wasmtime
from wasmtime.component import Component, ExportIndex, Linker

from mvm_ci.adapters.wasm import capi, component_files, component_streams, http_json, overrides
from mvm_ci.adapters.wasm.component_call import ComponentCall
from mvm_ci.adapters.wasm.component_host import ComponentRun, define, define_resource
from mvm_ci.adapters.wasm.component_values import Prepare, Value, result_text, set_text, text, waiting
from mvm_ci.adapters.wasm.current_run import CurrentRun, Run
from mvm_ci.adapters.wasm.failures import guest_failed
from mvm_ci.adapters.wasm.overrides import Sleeper
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


class ComponentLoader:
    """The engine of components and their one linker."""

    def __init__(self, engine: wasmtime.Engine, current: CurrentRun) -> None:
        self.engine: Final = engine
        self.current: Final = current
        self.linker: Final = Linker(engine)
        self.linker.allow_shadowing = True
        capi.add_wasi(self.linker)
        self._alive: list[Any] = []
        sleeper = Sleeper(engine)
        resources = {**component_streams.RESOURCES, **component_files.RESOURCES}
        at_once = {
            **overrides.functions(),
            **component_streams.functions(sleeper),
            **component_files.FUNCTIONS,
        }
        own: dict[str, dict[str, Prepare]] = {COMPONENT_HOST: {"http": _http, "call": _call}}
        waits = {**overrides.waiting_functions(sleeper), **own}
        with self.linker.root() as root:
            for interface in sorted(at_once.keys() | waits.keys()):
                with root.add_instance(interface) as instance:
                    for name, kind in resources.get(interface, {}).items():
                        define_resource(instance, name, kind, current, self._alive)
                    define(instance, at_once.get(interface, {}), current, self._alive)
                    for name, prepare in waits.get(interface, {}).items():
                        callback = waiting(current, prepare)
                        capi.define_in_component(instance, name, callback)
                        self._alive.append(callback)

    def load(self, path: str) -> "ComponentGuest":
        """The guest in the compiled file at ``path``. Raises ``BadModule``."""
        try:
            component = Component.deserialize_file(self.engine, path)
        except wasmtime.WasmtimeError as error:
            raise BadModule(f"it cannot be loaded: {str(error).splitlines()[0]}") from error
        entry = component.get_export_index("run")
        if entry is None:
            raise BadModule("the component exports no function run")
        return ComponentGuest(self, component, entry)


def _http(run: Run, _context: int, arguments: Any, result: Any) -> Coroutine[Any, Any, None]:
    return _answered(result, http_json.answer(run.host, text(arguments[0])))


def _call(run: Run, _context: int, arguments: Any, result: Any) -> Coroutine[Any, Any, None]:
    return _answered(result, run.host.call(text(arguments[0]).decode(), text(arguments[1])))


async def _answered(result: Any, answer: Coroutine[Any, Any, bytes]) -> None:
    set_text(result, await answer)


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
            set_text(given[0], payload)
            try:
                call = ComponentCall(self._loader.current, run, context)
                await call.instantiate(self._loader.linker, self._component)
                await call.call(self._entry, given, answer)
                answered = result_text(answer[0])
            finally:
                for values in (given, answer):
                    capi.component_value_delete(addressof(values))
        run.flush()
        return _result(answered, limits)


def _result(answered: tuple[bool, bytes] | None, limits: GuestLimits) -> bytes:
    if answered is None:
        raise guest_failed(FailureKind.MODULE, "run does not return result<string, string>")
    good, data = answered
    if not good:
        raise _reported(data)
    if len(data) > limits.result_bytes:
        raise guest_failed(
            FailureKind.OUTPUT, f"the result has {len(data)} bytes; at most {limits.result_bytes} are allowed"
        )
    return data


def _reported(data: bytes) -> GuestFailed:
    try:
        error = msgspec.json.decode(data, type=_GuestError)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return guest_failed(FailureKind.ERROR, data.decode(errors="replace"))
    kind = FailureKind.MEMORY if error.kind == "memory" else FailureKind.ERROR
    return guest_failed(kind, error.message, error.detail)

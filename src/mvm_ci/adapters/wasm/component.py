"""Components of our WIT world (Python guests): linked and instantiated for each run."""

from collections.abc import Callable, Coroutine
from ctypes import addressof
from typing import Any, Final

import msgspec
import wasmtime
from wasmtime.component import Component, ExportIndex, Linker

from mvm_ci.adapters.wasm import capi, http_json
from mvm_ci.adapters.wasm.byte_functions import RANDOM_BYTES, add_random_bytes
from mvm_ci.adapters.wasm.component_call import ComponentCall
from mvm_ci.adapters.wasm.component_values import (
    STRING,
    Value,
    Waiting,
    check_no_arguments,
    result_string,
    set_text,
    size,
    text,
    waiting,
)
from mvm_ci.adapters.wasm.current_run import CurrentRun, Run
from mvm_ci.adapters.wasm.failures import guest_failed, out_of_memory
from mvm_ci.adapters.wasm.overrides import Sleeper, functions, waiting_functions
from mvm_ci.domain.errors import BadModule
from mvm_ci.domain.module import COMPONENT_HOST
from mvm_ci.domain.outcome import FailureKind
from mvm_ci.ports.guest import GuestFailed, GuestLimits, HostCalls

# A Python component consists of the interpreter, its libraries and adapters: many core instances, one memory.
_INSTANCES: Final = 200
_TABLES: Final = 50
_MEMORIES: Final = 10
_UNWIND: Final = "unwound by the host"


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
        own: dict[str, dict[str, Waiting]] = {
            COMPONENT_HOST: {"http": ((STRING,), _http), "call": ((STRING, STRING), _call)}
        }
        at_once, waits = functions(), {**waiting_functions(Sleeper(engine)), **own}
        with self.linker.root() as root:
            for interface in sorted(at_once.keys() | waits.keys()):
                with root.add_instance(interface) as instance:
                    for name, function in at_once.get(interface, {}).items():
                        instance.add_func(name, self._callback(name, function))
                    for name, waits_too in waits.get(interface, {}).items():
                        callback = waiting(current, name, waits_too)
                        capi.define_in_component(instance, name, callback)
                        self._alive.append(callback)
                    if interface in RANDOM_BYTES:
                        self._alive.append(add_random_bytes(instance, RANDOM_BYTES[interface], current))

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

    def _callback(self, name: str, function: Callable[[Run], Any]) -> Callable[..., Any]:
        current = self.current

        def call(_store: wasmtime.StoreContext, *arguments: Any) -> Any:
            run = None
            try:
                run = current.get()
                run.check()
                check_no_arguments(name, arguments)
                return function(run)
            except BaseException as error:
                # A BaseException would crash the process, and another exception would be kept in a global
                # of the package: the reason stays in the run, the engine hears no more than that there is
                # one.
                if run is not None:
                    run.keep(error)
                raise wasmtime.WasmtimeError(_UNWIND) from None

        return call


def _http(run: Run, _context: int, arguments: Any, result: Any) -> Coroutine[Any, Any, None]:
    if size(arguments[0]) > http_json.MAX_REQUEST_BYTES:
        return _refused(result, http_json.REQUEST_TOO_LARGE)
    return _answered(result, http_json.answer(run.host, text(arguments[0])))


def _call(run: Run, _context: int, arguments: Any, result: Any) -> Coroutine[Any, Any, None]:
    if size(arguments[0]) > http_json.MAX_CALL_NAME_BYTES or size(arguments[1]) > http_json.MAX_CALL_BYTES:
        return _refused(result, http_json.CALL_TOO_LARGE)
    return _answered(result, run.host.call(text(arguments[0]).decode(), text(arguments[1])))


async def _answered(result: Any, answer: Coroutine[Any, Any, bytes]) -> None:
    set_text(result, await answer)


async def _refused(result: Any, answer: bytes) -> None:
    set_text(result, answer)


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
        run = Run(payload, host, limits)
        with wasmtime.Store(self._loader.engine) as store:
            store.set_limits(limits.memory_bytes, limits.table_elements, _INSTANCES, _TABLES, _MEMORIES)
            store.set_wasi(self._wasi(run))
            context = capi.address(store._context())
            capi.slice_time(context)
            given, answer = (Value * 1)(), (Value * 1)()
            set_text(given[0], payload)
            try:
                call = ComponentCall(self._loader.current, run, context)
                await call.instantiate(self._loader.linker, self._component)
                await call.call(self._entry, given, answer)
                # A host call that failed may have been hidden from the engine (output streams); its reason
                # still counts.
                run.check()
                run.flush()
                return _result(answer[0], limits)
            finally:
                for values in (given, answer):
                    capi.component_value_delete(addressof(values))

    def _wasi(self, run: Run) -> wasmtime.WasiConfig:
        config = wasmtime.WasiConfig()
        config.stdout_custom = self._output("stdout", run)
        config.stderr_custom = self._output("stderr", run)
        return config

    def _output(self, stream: str, run: Run) -> Callable[[bytes], None]:
        def write(data: bytes) -> None:
            try:
                run.check()
                run.write(stream, data)
            except BaseException as error:
                # An error returned from here would be an OSError that the guest can catch. Its time slice
                # ends at once, and with that the guest.
                run.keep(error)
                self._loader.engine.increment_epoch()

        return write


def _result(value: Any, limits: GuestLimits) -> bytes:
    answered = result_string(value)
    if answered is None:
        raise guest_failed(FailureKind.MODULE, "run does not return result<string, string>")
    good, string = answered
    if size(string) > limits.result_bytes:
        what = "result" if good else "error"
        raise guest_failed(
            FailureKind.OUTPUT,
            f"the {what} has {size(string)} bytes; at most {limits.result_bytes} are allowed",
        )
    if not good:
        raise _reported(text(string))
    return text(string)


def _reported(data: bytes) -> GuestFailed:
    try:
        error = msgspec.json.decode(data, type=_GuestError)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return guest_failed(FailureKind.ERROR, data.decode(errors="replace"))
    kind = FailureKind.MEMORY if error.kind == "memory" else FailureKind.ERROR
    return guest_failed(kind, error.message, error.detail)

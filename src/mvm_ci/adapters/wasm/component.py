"""Components of our WIT world (Python guests): linked and instantiated for each run."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
import wasmtime
from wasmtime.component import Component, Linker, Variant

from mvm_ci.adapters.wasm import http_json
from mvm_ci.adapters.wasm.byte_functions import RANDOM_BYTES, add_random_bytes
from mvm_ci.adapters.wasm.current_run import CurrentRun, Run
from mvm_ci.adapters.wasm.failures import from_wasmtime, guest_failed
from mvm_ci.adapters.wasm.overrides import Sleeper, functions
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
        self._engine = engine
        self._current = current
        self.linker: Final = Linker(engine)
        self.linker.allow_shadowing = True
        self.linker.add_wasip2()
        self._alive: list[Any] = []
        interfaces = functions(Sleeper(engine))
        interfaces[COMPONENT_HOST] = {"http": _http}
        with self.linker.root() as root:
            for interface, members in interfaces.items():
                with root.add_instance(interface) as instance:
                    for name, function in members.items():
                        instance.add_func(name, self._callback(function))
                    if interface in RANDOM_BYTES:
                        self._alive.append(add_random_bytes(instance, RANDOM_BYTES[interface], current))

    def load(self, path: str) -> "ComponentGuest":
        """The guest in the compiled file at ``path``. Raises ``BadModule``."""
        try:
            component = Component.deserialize_file(self._engine, path)
        except wasmtime.WasmtimeError as error:
            raise BadModule(f"it cannot be loaded: {str(error).splitlines()[0]}") from error
        return ComponentGuest(self._engine, self._current, self.linker, component)

    def _callback(self, function: Callable[..., Any]) -> Callable[..., Any]:
        current = self._current

        def call(store: wasmtime.StoreContext, *arguments: Any) -> Any:
            run = None
            try:
                run = current.get()
                run.check()
                return function(run, store, *arguments)
            except BaseException as error:
                # A BaseException would crash the process, and another exception would be kept in a global
                # of the package: the reason stays in the run, the engine hears no more than that there is
                # one.
                if run is not None:
                    run.keep(error)
                raise wasmtime.WasmtimeError(_UNWIND) from None

        return call


def _http(run: Run, _store: object, request: str) -> str:
    return http_json.answer(run.host, request).decode()


class ComponentGuest:
    """A loaded component; implements ``ports.guest.Guest``."""

    def __init__(
        self, engine: wasmtime.Engine, current: CurrentRun, linker: Linker, component: Component
    ) -> None:
        self._engine = engine
        self._current = current
        self._linker = linker
        self._component = component

    def run(self, payload: bytes, host: HostCalls, limits: GuestLimits) -> bytes:
        """See ``ports.guest.Guest.run``. The payload must be UTF-8."""
        try:
            text = payload.decode()
        except UnicodeDecodeError as error:
            raise guest_failed(FailureKind.ERROR, f"the input is not UTF-8: {error}") from None
        run = Run(self._engine, payload, host, limits)
        with wasmtime.Store(self._engine) as store:
            store.set_limits(limits.memory_bytes, limits.table_elements, _INSTANCES, _TABLES, _MEMORIES)
            store.set_wasi(self._wasi(run))
            store.set_epoch_deadline(1)
            self._current.begin(run)
            try:
                answer = self._call(store, text)
            except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
                run.check()
                raise from_wasmtime(error) from error
            finally:
                self._current.end()
        # A host call that failed may have been hidden from the engine (output streams); its reason still
        # counts.
        run.check()
        run.flush()
        return _result(answer, limits)

    def _call(self, store: wasmtime.Store, text: str) -> Any:
        instance = self._linker.instantiate(store, self._component)
        function = instance.get_func(store, "run")
        if function is None:
            raise guest_failed(FailureKind.MODULE, "the component exports no function run")
        return function(store, text)

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
                # An error returned from here would be an OSError that the guest can catch. The epoch ends it.
                run.keep(error)
                self._engine.increment_epoch()

        return write


def _result(answer: Any, limits: GuestLimits) -> bytes:
    if not isinstance(answer, Variant):
        raise guest_failed(FailureKind.MODULE, "run does not return result<string, string>")
    data = str(answer.payload).encode()
    if answer.tag == "err":
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

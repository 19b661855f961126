"""The WebAssembly engine of one runner process; implements ``ports.guest.GuestRuntime``."""

from collections import OrderedDict
from typing import Final

import wasmtime

from mvm_ci.adapters.wasm import capi
from mvm_ci.adapters.wasm.component import ComponentGuest, ComponentLoader
from mvm_ci.adapters.wasm.core import CoreGuest, CoreLoader
from mvm_ci.adapters.wasm.current_run import CurrentRun
from mvm_ci.adapters.wasm.engines import make_engine
from mvm_ci.adapters.wasm.self_test import self_test
from mvm_ci.ports.guest import CompiledModule, Guest, ModuleKind

_LOADED: Final = 32


class WasmRuntime:
    """Loads and runs guests, each on a fiber."""

    def __init__(self, loaded: int = _LOADED) -> None:
        """``loaded``: how many modules stay loaded (their code is mapped from the cache's files)."""
        self._current = CurrentRun()
        self._guests: OrderedDict[tuple[ModuleKind, str], Guest] = OrderedDict()
        self._loaded = loaded
        self._core: CoreLoader | None = None
        self._components: ComponentLoader | None = None
        self._engines: tuple[int, ...] = ()

    def load(self, module: CompiledModule) -> Guest:
        """See ``ports.guest.GuestRuntime.load``. Raises ``Misconfigured`` if WASI cannot be replaced on
        this library.
        """
        key = (module.kind, module.digest)
        guest = self._guests.get(key)
        if guest is not None:
            self._guests.move_to_end(key)
            return guest
        guest = self._load(module)
        self._guests[key] = guest
        while len(self._guests) > self._loaded:
            self._guests.popitem(last=False)
        return guest

    def tick(self) -> None:
        """See ``ports.guest.GuestRuntime.tick``."""
        for engine in self._engines:
            capi.increment_epoch(engine)

    def close(self) -> None:
        """Frees the loaded modules and the engines; must not be called while a guest runs."""
        self._engines = ()
        self._guests.clear()
        self._core = None
        self._components = None

    def _load(self, module: CompiledModule) -> CoreGuest | ComponentGuest:
        if module.kind is ModuleKind.CORE:
            if self._core is None:
                self._core = CoreLoader(self._current, self._tick_too)
            return self._core.load(module.path)
        if self._components is None:
            engine = make_engine(ModuleKind.COMPONENT)
            self._tick_too(engine)
            loader = ComponentLoader(engine, self._current)
            self_test(engine, loader.linker, self._current)
            self._components = loader
        return self._components.load(module.path)

    def _tick_too(self, engine: wasmtime.Engine) -> None:
        self._engines = (*self._engines, capi.address(engine.ptr()))

"""The child process that compiles one module: ``python -m mvm_ci.adapters.wasm.compile_child``.

Compiling cannot be interrupted and takes memory that no allocator accounts for; a process of its own can be
limited and killed. Arguments: kind, source, target, parent's process id, memory limit in bytes, CPU limit
in seconds. Exit codes: 0 compiled, 3 the module cannot run here (the reason on stdout), anything else is a
failure of the child itself.
"""

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Final

import wasmtime
from wasmtime.component import Component, FuncType, ResultType, String

from mvm_ci.adapters.wasm.core import Slots
from mvm_ci.adapters.wasm.current_run import CurrentRun
from mvm_ci.adapters.wasm.engine_settings import BAD_MODULE
from mvm_ci.adapters.wasm.engines import make_engine
from mvm_ci.adapters.wasm.function_names import without_harmful_names
from mvm_ci.domain.errors import BadModule
from mvm_ci.ports.guest import ModuleKind

_PR_SET_PDEATHSIG: Final = 1
_LAST_S: Final = 5
"""Seconds of CPU time between the warning and the end."""


def main(arguments: list[str]) -> int:
    """Compiles as ``arguments`` say."""
    kind, source, target = ModuleKind(arguments[0]), Path(arguments[1]), Path(arguments[2])
    parent, memory, seconds = (int(argument) for argument in arguments[3:6])
    _die_with(parent)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    if most != resource.RLIM_INFINITY:
        seconds = min(seconds, most)
    # Over the first it gets SIGXCPU: SIGKILL comes from elsewhere.
    last = seconds + _LAST_S if most == resource.RLIM_INFINITY else min(seconds + _LAST_S, most)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, last))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        if kind is ModuleKind.COMPONENT:
            engine = make_engine(kind)
            _limit_memory(memory)
            component = Component(engine, _read(source))
            _check_entry(component, engine)
            target.write_bytes(component.serialize())
        else:
            slots = Slots(1, 0, CurrentRun())
            _limit_memory(memory)
            target.write_bytes(wasmtime.Module(slots.engine, _read(source)).serialize())
            # Linking shows an import or export with the wrong type now, and not in the first run.
            slots.link(str(target))
    except (wasmtime.WasmtimeError, BadModule) as error:
        sys.stdout.write(" ".join(str(error).split()))
        return BAD_MODULE
    return 0


def _read(source: Path) -> bytes:
    return without_harmful_names(source.read_bytes())


def _check_entry(component: Component, engine: wasmtime.Engine) -> None:
    """As linking does it for the other kind of module. Raises ``BadModule``."""
    exported = component.type.exports(engine).get("run")
    run = exported.ty if exported is not None else None
    if isinstance(run, FuncType) and [kind for _, kind in run.params] == [String()]:
        result = run.result
        if isinstance(result, ResultType) and (result.ok, result.err) == (String(), String()):
            return
    raise BadModule("its export run must be a function(string) -> result<string, string>")


def _limit_memory(size: int) -> None:
    """Allows ``size`` bytes beyond what is mapped now: an engine reserves address space that it does
    not use.
    """
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + size
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _die_with(parent: int) -> None:
    """Has the kernel kill this process when its parent ends; it may have ended already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

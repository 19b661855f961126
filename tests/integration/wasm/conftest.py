"""Guests are built and compiled once for all sessions: both caches go by content."""

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guest.build_c import FLAGS, build_c
from mvm_ci.adapters.componentize.build import build
from mvm_ci.adapters.wasm.compiler import ChildCompiler
from mvm_ci.adapters.wasm.runtime import WasmRuntime
from mvm_ci.ports.guest import CompiledModule
from tests.integration.wasm.fakes import OnlyGuest

GUESTS = Path(__file__).parents[3] / "guest"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mvm-ci" / "tests"

Load = Callable[[Path], OnlyGuest]


@pytest.fixture(scope="session")
def compiled() -> Callable[[Path], CompiledModule]:
    compiler = ChildCompiler(CACHE / "compiled")

    def compile_file(module: Path) -> CompiledModule:
        digest = hashlib.sha256(module.read_bytes()).hexdigest()
        return asyncio.run(compiler.compile(module, digest))

    return compile_file


@pytest.fixture(scope="session")
def runtime() -> Iterator[WasmRuntime]:
    runtime = WasmRuntime()
    yield runtime
    runtime.close()


@pytest.fixture(scope="session")
def load(runtime: WasmRuntime, compiled: Callable[[Path], CompiledModule]) -> Load:
    return lambda module: OnlyGuest(runtime.load(compiled(module)))


@pytest.fixture(scope="session")
def probe(load: Load) -> OnlyGuest:
    """The C guest for many tests, ``guest/tests/probe.c``."""
    return load(build_c(GUESTS / "tests" / "probe.c"))


@pytest.fixture(scope="session")
def filer(load: Load) -> OnlyGuest:
    """The C guest for tests of files, ``guest/tests/files.c``."""
    return load(build_c(GUESTS / "tests" / "files.c"))


@pytest.fixture(scope="session")
def command(load: Load) -> OnlyGuest:
    flags = tuple(flag for flag in FLAGS if not flag.startswith("-mexec-model"))
    return load(build_c(GUESTS / "tests" / "command.c", flags))


def built(source: Path, directory: Path) -> Path:
    output = directory / f"{source.parent.name}-{source.stem}.wasm"
    build(source, output, cache=CACHE / "built")
    return output


@pytest.fixture(scope="session")
def everything(load: Load, tmp_path_factory: pytest.TempPathFactory) -> OnlyGuest:
    """The Python guest for many tests, ``guest/tests/everything/job.py``."""
    return load(built(GUESTS / "tests" / "everything" / "job.py", tmp_path_factory.mktemp("everything")))


@pytest.fixture(scope="session")
def link_checker(load: Load, tmp_path_factory: pytest.TempPathFactory) -> OnlyGuest:
    return load(built(GUESTS / "examples" / "link_checker" / "job.py", tmp_path_factory.mktemp("links")))

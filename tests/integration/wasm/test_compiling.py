"""Compiling in a child process: the cache, the limits, what is refused."""

import asyncio
import hashlib
import os
import signal
import threading
from pathlib import Path

import pytest
import wasmtime

from guest.build_c import build_c
from mvm_ci.adapters.wasm.compiler import ChildCompiler, CompileLimits
from mvm_ci.adapters.wasm.runtime import WasmRuntime
from mvm_ci.domain.errors import BadModule, Misconfigured, NotFound, Unavailable
from mvm_ci.domain.outcome import FailureKind
from mvm_ci.ports.guest import CompiledModule, GuestFailed, GuestLimits, ModuleKind
from mvm_ci.ports.immediate import at_once
from tests.integration.wasm.conftest import GUESTS
from tests.integration.wasm.fakes import FakeHost

MEMORY = '(memory (export "memory") 1)'


def compile_text(text: str, directory: Path, limits: CompileLimits | None = None) -> CompiledModule:
    source = directory / "module.wasm"
    source.write_bytes(wasmtime.wat2wasm(text))
    return compile_file(source, directory, limits)


def compile_file(source: Path, directory: Path, limits: CompileLimits | None = None) -> CompiledModule:
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    return asyncio.run(ChildCompiler(directory / "cache", limits).compile(source, digest))


def test_the_second_time_it_is_there(tmp_path: Path) -> None:
    source = build_c(GUESTS / "examples" / "noop.c")
    first = compile_file(source, tmp_path)
    before = Path(first.path).stat()
    assert compile_file(source, tmp_path, CompileLimits(seconds=0)) == first
    assert Path(first.path).stat() == before
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


async def test_concurrent_calls_share_one_compilation(tmp_path: Path) -> None:
    source = build_c(GUESTS / "examples" / "noop.c")
    compiler = ChildCompiler(tmp_path / "cache")
    given_up = asyncio.ensure_future(compiler.compile(source, "d"))
    await asyncio.sleep(0)
    given_up.cancel()
    results = await asyncio.gather(*(compiler.compile(source, "d") for _ in range(5)))
    assert len({result.path for result in results}) == 1
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".cwasm"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            '(module (func (export "run") (param i32)) %s)',
            "its export run must take nothing and return an i32",
        ),
        ('(module (func (export "run") (result i64) i64.const 0) %s)', "its export run must"),
        (
            '(module (func (export "_initialize") (result i32) i32.const 0) (func (export "_start")) %s)',
            "_initialize",
        ),
        (
            '(module (import "mvm_ci_v1" "output" (func (param i64))) (func (export "_start")) %s)',
            "incompatible import type",
        ),
        (
            '(module (func (export "_start")) (func (result i32) i64.const 1) %s)',
            "mismatch",
        ),
        (
            '(module (import "wasi_snapshot_preview1" "new" (func)) (func (export "_start")) %s)',
            "unknown import",
        ),
        ('(module (func (export "_start")) (memory 1) %s)', "multi"),
    ],
)
def test_what_cannot_run_here(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(BadModule, match=reason) as caught:
        compile_text(text % MEMORY, tmp_path)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "cache").iterdir())


def test_files_that_are_no_modules(tmp_path: Path) -> None:
    whole = build_c(GUESTS / "examples" / "hello.c").read_bytes()
    source = tmp_path / "module.wasm"
    for data in (b"", b"#!/bin/sh", whole[:100], whole[: len(whole) // 2]):
        source.write_bytes(data)
        with pytest.raises(BadModule):
            compile_file(source, tmp_path)
    with pytest.raises(NotFound):
        asyncio.run(ChildCompiler(tmp_path / "cache").compile(tmp_path / "none.wasm", "x"))


def test_limits_of_compiling(tmp_path: Path) -> None:
    source = build_c(GUESTS / "examples" / "hello.c")
    with pytest.raises(BadModule, match="takes more than 0 s"):
        compile_file(source, tmp_path, CompileLimits(seconds=0))
    body = "i32.const 1 drop " * 100_000
    with pytest.raises(BadModule, match="takes more than"):
        compile_text(
            f'(module (func (export "_start") {body}) {MEMORY})',
            tmp_path,
            CompileLimits(memory_bytes=20 << 20),
        )


def test_a_compiler_that_is_killed_is_not_the_module_s_fault(tmp_path: Path) -> None:
    body = "(local i32) " + "local.get 0 i32.const 1 i32.add local.set 0 " * 400
    functions = "".join(f"(func $f{n} {body})" for n in range(1_500))
    run = '(func (export "run") (result i32) i32.const 0)'
    children = Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/children")

    def kill() -> None:
        while not (found := children.read_text().split()):
            if over.wait(0.001):
                return
        os.kill(int(found[0]), signal.SIGKILL)

    over = threading.Event()
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with pytest.raises(Unavailable, match="killed"):
            compile_text(f"(module {run} {MEMORY} {functions})", tmp_path)
    finally:
        over.set()
        killer.join()


def test_a_cache_that_others_can_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(Misconfigured, match="writable by this user only"):
        ChildCompiler(tmp_path)


def ending(runtime: WasmRuntime, text: str, directory: Path) -> FailureKind | None:
    """How the module ends: None if well."""
    try:
        guest = runtime.load(compile_text(text, directory))
        at_once(guest.run(b"", FakeHost(), GuestLimits(memory_bytes=64 << 20)))
    except GuestFailed as error:
        return error.failure.kind
    except BadModule:
        return FailureKind.MODULE
    return None


def test_limits_that_no_library_can_exceed(tmp_path: Path) -> None:
    """Hostile modules: what asks for too much is refused, nothing but the guest ends."""
    runtime = WasmRuntime()
    try:
        cases = {
            '(module (func (export "_start")) (memory (export "memory") 60000))': FailureKind.MODULE,
            f'(module (func (export "_start")) (table 90000 funcref) {MEMORY})': None,
            f'(module (func $f (export "_start") call $f) {MEMORY})': FailureKind.TRAP,
            f'(module (func $f unreachable) (start $f) (func (export "_start")) {MEMORY})': FailureKind.TRAP,
        }
        for text, kind in cases.items():
            assert ending(runtime, text, tmp_path) is kind, text
    finally:
        runtime.close()


def test_code_that_was_not_made_here(tmp_path: Path) -> None:
    path = tmp_path / "x.cwasm"
    path.write_bytes(b"nonsense")
    for kind in ModuleKind:
        with pytest.raises(BadModule):
            WasmRuntime().load(CompiledModule(digest="x", kind=kind, path=str(path)))

"""Modules that are none, too large, or made to mislead whoever loads them."""

import asyncio
import hashlib
import random
from typing import Final

import pytest

from mvm_ci.adapters.wasm.compiler import CompileLimits
from mvm_ci.domain.ids import Digest
from mvm_ci.domain.module import MAX_IMPORTS, MAX_MODULE_BYTES
from mvm_ci.domain.payload import BlobRef
from tests.hostile.binaries import (
    HEAD,
    assembled,
    component,
    core,
    name,
    named,
    number,
    returned,
    section,
    text,
    with_host,
    with_one,
)
from tests.hostile.rig import Rig, reason, result

pytestmark = pytest.mark.asyncio(loop_scope="module")
MEMORY: Final = '(memory (export "memory") 1)'
MINIMAL: Final = assembled()
SMALL: Final = CompileLimits(memory_bytes=100 << 20)
RUN: Final = '(func $run (export "_start"))'


# ---------------------------------------------------------------- too large


@pytest.mark.ends("completed")
async def test_a_module_is_as_large_as_one_may_be(rig: Rig) -> None:
    rest = MAX_MODULE_BYTES - len(MINIMAL)
    custom = section(0, name(b"x") + bytes(rest - 7))
    assert len(MINIMAL + custom) == MAX_MODULE_BYTES
    await rig.run(MINIMAL + custom)


@pytest.mark.ends("module")
async def test_a_module_is_larger_than_one_may_be(rig: Rig) -> None:
    outcome = await rig.run(MINIMAL + bytes(MAX_MODULE_BYTES + 1 - len(MINIMAL)))
    assert reason(outcome) == "67108865 bytes; a module has at most 67108864"


@pytest.mark.ends("completed")
async def test_a_module_brings_60_mb_of_data(rig: Rig) -> None:
    data = random.Random(1).randbytes(60 << 20)
    segment = b"\x01\0\x41\0\x0b" + number(len(data)) + data
    await rig.run(assembled(pages=1000, data=segment))


@pytest.mark.ends("module")
async def test_a_module_takes_more_memory_to_compile_than_is_allowed(rig: Rig) -> None:
    body = b"\0" + b"\x41\0\x1a" * 30 + b"\x0b"
    functions = (number(len(body)) + body) * 40_000
    outcome = await rig.run(assembled(functions=functions, count=40_000), limits=SMALL)
    assert "100 MiB" in reason(outcome)


@pytest.mark.ends("module")
async def test_a_module_takes_more_time_to_compile_than_is_allowed(rig: Rig) -> None:
    outcome = await rig.run(core("nop"), limits=CompileLimits(seconds=0))
    assert reason(outcome) == "compiling it takes more than 0 s"
    body = b"\0" + b"\x41\0\x1a" * 30 + b"\x0b"
    functions = (number(len(body)) + body) * 100_000
    outcome = await rig.run(
        assembled(functions=functions, count=100_000), limits=CompileLimits(cpu_seconds=1)
    )
    assert "1 s of CPU time" in reason(outcome)


@pytest.mark.ends("module")
async def test_one_function_is_too_large(rig: Rig) -> None:
    body = b"\0" + b"\x41\0\x1a" * (3 << 20) + b"\x0b"
    assert "exceeds limit" in reason(await rig.run(assembled(functions=number(len(body)) + body)))


@pytest.mark.ends("completed")
async def test_a_module_has_thousands_of_functions_and_segments(rig: Rig) -> None:
    functions = assembled(functions=b"\x02\0\x0b" * 10_000, count=10_000)
    segments = assembled(data=number(10_000) + b"\0\x41\0\x0b\x01a" * 10_000)
    await rig.run_all(functions, segments)


@pytest.mark.ends("module")
async def test_a_module_has_thousands_of_imports_exports_sections_or_globals(rig: Rig) -> None:
    many = MAX_IMPORTS + 1
    imports = '(import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))' * many
    exports = "".join(f'(export "e{at}" (func $run))' for at in range(many))
    globals_ = "(global (mut i64) (i64.const 0))" * 100_000
    outcomes = await rig.run_all(
        text(f"(module {imports} {MEMORY} {RUN})"),
        text(f"(module {MEMORY} {RUN} {exports})"),
        MINIMAL + section(0, b"\x01x") * 20_001,
        text(f"(module {MEMORY} {RUN} {globals_})"),
    )
    assert [reason(outcome).partition(" which")[0] for outcome in outcomes[:3]] == [
        "more than 1000 imports or exports",
        "more than 1000 imports or exports",
        "more than 20000 sections",
    ]


# ---------------------------------------------------------------- none


@pytest.mark.ends("module")
async def test_what_is_no_module(rig: Rig) -> None:
    whole = core("", "log", "output", more="(table 5 funcref) (func $f) (elem (i32.const 0) $f)")
    noise = random.Random(2)
    outcomes = await rig.run_all(
        b"",
        b"#!/bin/sh\necho hello\n",
        b"\0asm",
        HEAD,
        b"\0asm\x02\0\0\0",
        whole[:100],
        whole[: len(whole) // 2],
        whole[:-1],
        HEAD + noise.randbytes(10_000),
        b"(module)",
        text("(component)"),
    )
    assert len({reason(outcome) for outcome in outcomes}) > 7


@pytest.mark.ends("module")
async def test_a_module_needs_what_does_not_exist_here(rig: Rig) -> None:
    await rig.run_all(
        text(f"(module {MEMORY} (memory 1) {RUN})"),
        text(f'(module (memory (export "memory") i64 1) {RUN})'),
        text(f'(module (memory (export "memory") 1 1 shared) {RUN})'),
        text(f"(module {MEMORY} (tag) {RUN})"),
        text(f"(module {MEMORY} (type (struct)) {RUN})"),
        text(
            f"(module {MEMORY} {RUN} (func (param v128 v128) (result v128) "
            "(i8x16.relaxed_swizzle (local.get 0) (local.get 1))))"
        ),
    )


# ---------------------------------------------------------------- exports


@pytest.mark.ends("module")
async def test_a_module_exports_something_else_than_it_should(rig: Rig) -> None:
    export = '(export "{}" ({} {}))'
    outcomes = await rig.run_all(
        text(f'(module {MEMORY} (func (export "run")))'),
        text(f'(module {MEMORY} (func (export "run") (param i32) (result i32) i32.const 0))'),
        text(f'(module {MEMORY} (func (export "_start") (result i32) i32.const 0))'),
        text(f'(module {MEMORY} (func (export "_initialize") (param i32)) {RUN})'),
        text(f"(module {MEMORY} (table $t 1 funcref) {export.format('run', 'table', '$t')})"),
        text(f"(module (memory $m 1) {export.format('run', 'memory', '$m')} {MEMORY})"),
        text(f'(module (func (export "memory")) {RUN})'),
        text(f'(module (global (export "memory") i32 (i32.const 1)) {RUN})'),
        text(f"(module {RUN})"),
        component(returned(), result="u32"),
        component(returned(), result="(list u8)"),
        component(returned(), result="(result string)"),
        text('(component (instance $i) (export "run" (instance $i)))'),
    )
    assert reason(outcomes[6]) == reason(outcomes[7]) == "its export memory is not a memory"
    assert "function(string) -> result<string, string>" in reason(outcomes[-1])


# ---------------------------------------------------------------- imports that are not what they seem


@pytest.mark.ends("module")
async def test_imports_shadow_ours_with_another_type(rig: Rig) -> None:
    def importing(module: str, function: str, kind: str) -> bytes:
        return text(f'(module (import "{module}" "{function}" {kind}) {MEMORY} {RUN})')

    await rig.run_all(
        importing("mvm_ci_v1", "output", "(func (param i64 i64))"),
        importing("mvm_ci_v1", "output", "(func (param i32 i32) (result i32))"),
        importing("mvm_ci_v1", "http", "(func (param i32))"),
        importing("mvm_ci_v1", "now_ms", "(func (result f64))"),
        importing("mvm_ci_v1", "log", "(global i32)"),
        importing("mvm_ci_v1", "memory", "(memory 1)"),
        importing("mvm_ci_v1", "table", "(table 1 funcref)"),
        importing("wasi_snapshot_preview1", "fd_write", "(func)"),
        importing("wasi_snapshot_preview1", "proc_exit", "(func (param i64))"),
    )


@pytest.mark.ends("module")
async def test_imports_are_of_another_version_or_of_something_else(rig: Rig) -> None:
    def importing(module: str, function: str) -> bytes:
        return text(f'(module (import "{module}" "{function}" (func)) {MEMORY} {RUN})')

    outcomes = await rig.run_all(
        importing("mvm_ci_v2", "output"),
        importing("mvm_ci_v1", "output2"),
        importing("mvm_ci_v1 ", "log"),
        importing("wasi_snapshot_preview1", "fd_write2"),
        importing("wasi_snapshot_preview2", "fd_write"),
        importing("wasi_unstable", "fd_write"),
        importing("env", "memory"),
        importing("", ""),
        importing("mvm_ci_v1", "\\00"),
        importing("mvm_ci_v1", "x" * 5_000),
    )
    assert reason(outcomes[0]) == "imports mvm_ci_v2.output; there are mvm_ci_v1 and wasi_snapshot_preview1"


@pytest.mark.ends("module")
async def test_a_component_imports_what_does_not_exist(rig: Rig) -> None:
    asks = with_host(returned())
    assert b"guest/host@1.0.0" in asks
    await rig.run_all(
        asks.replace(b"guest/host@1.0.0", b"guest/host@2.0.0"),
        asks.replace(b"guest/host@1.0.0", b"guest/hose@1.0.0"),
        asks.replace(b"mvm-ci:guest/host@1.0.0", b"wasi:clocks/hosts@0.3.0"),
        with_one("mvm-ci:guest/host@1.0.0", "secret", '(param "a" u32)', "(param i32)", returned()),
        with_one("wasi:clocks/wall-clock@0.2.0", "secret", '(param "a" u32)', "(param i32)", returned()),
        component(
            returned(),
            imports='(import "mvm-ci:guest/host@1.0.0" (func $host))',
            lowered="(core func $f (canon lower (func $host)))",
            functions='(import "x" "f" (func $f))',
            given='(export "f" (func $f))',
        ),
    )


CLOCK: Final = "wasi:clocks/monotonic-clock@0.2.3"
HOST: Final = "mvm-ci:guest/host@1.0.0"
RANDOM: Final = "wasi:random/random@0.2.0"
POLL: Final = "wasi:io/poll@0.2.0"
FILES: Final = "wasi:filesystem/types@0.2.0"
ROOTS: Final = "wasi:filesystem/preopens@0.2.0"
TWO: Final = '(param "a" string) (param "b" (list u64)) (result string)'
AT: Final = 32
"""Where a result goes."""


@pytest.mark.ends("module")
@pytest.mark.parametrize(
    ("interface", "function", "kind", "parameters", "given"),
    [
        # What is taken for the length of a string, and what for its address.
        (HOST, "http", '(param "a" u64) (result string)', "(param i64 i32)", (1 << 40, AT)),
        (HOST, "http", "(result string)", "(param i32)", (AT,)),
        (HOST, "http", '(param "a" string)', "(param i32 i32)", (0, 5)),
        (HOST, "http", '(param "a" string) (result u32)', "(param i32 i32) (result i32)", (0, 0)),
        (HOST, "call", '(param "a" string) (result string)', "(param i32 i32 i32)", (0, 0, AT)),
        (HOST, "call", TWO, "(param i32 i32 i32 i32 i32)", (0, 0, 0, 1, AT)),
        (CLOCK, "now", "(result string)", "(param i32)", (AT,)),
        (CLOCK, "now", "", "", ()),
        (CLOCK, "subscribe-duration", "(result u32)", "(result i32)", ()),
        (CLOCK, "subscribe-duration", '(param "a" u64) (result u32)', "(param i64) (result i32)", (1,)),
        (RANDOM, "get-random-bytes", "", "", ()),
        (RANDOM, "get-random-bytes", '(param "a" string)', "(param i32 i32)", (0, 0)),
        (RANDOM, "get-random-bytes", '(param "a" u64) (result string)', "(param i64 i32)", (5, AT)),
        (POLL, "poll", '(param "a" (list u32)) (result u32)', "(param i32 i32) (result i32)", (0, 1)),
        (POLL, "poll", '(param "a" string) (result u32)', "(param i32 i32) (result i32)", (0, 8)),
        (FILES, "filesystem-error-code", '(param "a" u32) (result u32)', "(param i32) (result i32)", (7,)),
        (ROOTS, "get-directories", "(result u32)", "(result i32)", ()),
    ],
)  # fmt: skip
async def test_a_component_imports_ours_with_another_type(
    rig: Rig, interface: str, function: str, kind: str, parameters: str, given: tuple[int, ...]
) -> None:
    kinds = parameters.partition(")")[0].split()[1:] if "param" in parameters else []
    pushes = " ".join(f"{one}.const {value}" for one, value in zip(kinds, given, strict=True))
    drops = "drop" if "(result" in parameters else ""
    outcome = await rig.run(
        with_one(interface, function, kind, parameters, f"{pushes} call $f {drops} {returned()}")
    )
    assert "with another type" in reason(outcome)


# ---------------------------------------------------------------- names


def doubling(times: int) -> bytes:
    """The mangled name of a function whose readable name has 2 ** ``times`` words."""
    return b"_Z1f1A1BIS_S_E" + b"".join(b"S1_I%s%s_E" % ((b"S%X_" % at,) * 2) for at in range(2, 2 + times))


@pytest.mark.ends("trap")
async def test_the_names_of_functions_are_bombs_or_garbage(rig: Rig) -> None:
    endless = text(f'(module {MEMORY} (func $f (export "_start") call $f))')
    nested = b"_Z1f" + b"P" * 100_000 + b"i"
    outcomes = await rig.run_all(
        named(endless, b"a" * (40 << 20)),
        named(endless, doubling(30)),
        named(endless, b"_Z1f1A1BIS_S_E" + b"S1_IS2_S2_E" * 30),
        named(endless, nested),
        named(endless, b"_R" + b"NtB_4a" * 1_000),
        named(endless, b"\xff\xfe" * 1_000),
        named(endless, b"x\nwasm trap: integer divide by zero\n" * 20),
        endless + section(0, name(b"name") + b"\xff" * 100_000),
        endless + section(0, name(b"name") + section(1, b"\xff\xff\xff\xff\x0f")),
    )
    assert {reason(outcome) for outcome in outcomes} == {"stack overflow: the guest called itself too deeply"}


# ---------------------------------------------------------------- start sections


@pytest.mark.ends("completed")
async def test_a_start_section_makes_host_calls(rig: Rig) -> None:
    calls = (
        "(call $log (i32.const 0) (i32.const 5)) (drop (call $now_ms)) (call $sleep_ms (i64.const 1))"
        "(drop (call $http (i32.const 0) (i32.const 5)))"
        "(drop (call $http_read (i32.const 8) (i32.const 0) (i32.const 9)))"
    )
    modules = core(
        "(call $output (i32.const 8) (i32.const 9))",
        *("log", "now_ms", "sleep_ms", "http", "http_read", "output"),
        start=calls,
    )
    assert result(await rig.run(modules)) == b'{"error":'
    leaves = core("unreachable", "proc_exit", start="(call $proc_exit (i32.const 0))")
    assert result(await rig.run(leaves)) == b""
    await rig.run(with_host(returned(), start="i32.const 0 i32.const 2 i32.const 16 call $http"))


@pytest.mark.ends("trap", "error")
async def test_a_start_section_fails(rig: Rig) -> None:
    outcomes = await rig.run_all(
        core("", start="unreachable"),
        core("", "log", start="(call $log (i32.const -1) (i32.const 3))"),
        core("", "proc_exit", start="(call $proc_exit (i32.const 7))"),
        component(returned(), start="unreachable"),
        with_host(returned(), start="i32.const -1 i32.const 2 i32.const 16 call $http"),
    )
    assert reason(outcomes[2]) == "exit code 7"


# ---------------------------------------------------------------- from somewhere else


@pytest.mark.ends("engine")
async def test_an_input_that_is_not_there(rig: Rig) -> None:
    digest = hashlib.sha256(b"never stored").hexdigest()
    outcome = await rig.run(MINIMAL, BlobRef(Digest(digest), 5))
    assert "missing" in reason(outcome)


@pytest.mark.ends("stopped")
async def test_a_job_is_cancelled_while_its_module_is_compiled(rig: Rig) -> None:
    body = b"\0" + b"\x41\0\x1a" * 30 + b"\x0b"
    functions = (number(len(body)) + body) * 50_000
    module = assembled(functions=functions, count=50_000)
    async with rig.neighbours():
        placed = rig.place(module, limits=CompileLimits())
        await asyncio.sleep(0.2)
        rig.stop(placed)
        await rig.beside(placed)

"""Modules and components made by hand, of text and of bytes."""

from typing import Final

import wasmtime

HEAD: Final = b"\0asm\x01\0\0\0"
OWN: Final = {
    "input_size": "(result i32)",
    "input_read": "(param i32 i32 i32) (result i32)",
    "output": "(param i32 i32)",
    "fail": "(param i32 i32)",
    "log": "(param i32 i32)",
    "sleep_ms": "(param i64)",
    "now_ms": "(result i64)",
    "http": "(param i32 i32) (result i32)",
    "http_read": "(param i32 i32 i32) (result i32)",
    "call": "(param i32 i32 i32 i32) (result i32)",
    "call_read": "(param i32 i32 i32) (result i32)",
}
WASI: Final = {
    "fd_write": "(param i32 i32 i32 i32) (result i32)",
    "random_get": "(param i32 i32) (result i32)",
    "clock_time_get": "(param i32 i64 i32) (result i32)",
    "poll_oneoff": "(param i32 i32 i32 i32) (result i32)",
    "sched_yield": "(result i32)",
    "proc_exit": "(param i32)",
}


def core(
    body: str, *imports: str, pages: int = 1, more: str = "", variables: str = "", start: str = ""
) -> bytes:
    """A module that does ``body``. ``imports``: names of functions of ours or of WASI, called ``$name``.
    ``start``: what its start section does.
    """
    used = "".join(
        f'(import "{"mvm_ci_v1" if name in OWN else "wasi_snapshot_preview1"}" "{name}" '
        f"(func ${name} {OWN.get(name) or WASI[name]}))"
        for name in imports
    )
    begin = f"(func $begin {start}) (start $begin)" if start else ""
    return text(
        f'(module {used} (memory (export "memory") {pages}) {more} {begin}'
        f'(func (export "_start") {variables} {body}))'
    )


def loop(times: int, body: str) -> str:
    """``body``, ``times`` times; needs the variable ``COUNTER``."""
    more = f"(i64.lt_u (local.tee $i (i64.add (local.get $i) (i64.const 1))) (i64.const {times}))"
    return f"(local.set $i (i64.const 0)) (loop $again {body} (br_if $again {more}))"


COUNTER: Final = "(local $i i64)"
FOREVER: Final = "(loop $again (br $again))"


def component(
    body: str,
    *,
    pages: int = 20,
    imports: str = "",
    lowered: str = "",
    functions: str = "",
    given: str = "",
    variables: str = "",
    start: str = "",
    realloc: str = "i32.const 1024",
    result: str = "(result string (error string))",
) -> bytes:
    """A component whose ``run`` does ``body``, which returns where its result stands: see ``returned``.

    ``imports``: instances; ``lowered``: their core functions; ``given``: the pair of a name and a core
    function that the inner module gets from ``x``, and declares in ``functions``.
    """
    begin = f"(func $begin {start}) (start $begin)" if start else ""
    return text(f"""(component
      {imports}
      (core module $alloc
        (memory (export "memory") {pages})
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) {realloc}))
      (core instance $a (instantiate $alloc))
      (alias core export $a "memory" (core memory $memory))
      (alias core export $a "realloc" (core func $realloc))
      {lowered}
      (core module $inner
        (import "a" "memory" (memory {pages}))
        {functions}
        {begin}
        (func (export "run") (param i32 i32) (result i32) {variables} {body}))
      (core instance $i (instantiate $inner (with "a" (instance $a)) (with "x" (instance {given}))))
      (func $run (param "input" string) (result {result})
        (canon lift (core func $i "run") (memory $memory) (realloc $realloc)))
      (export "run" (func $run)))""")


HOST: Final = """(import "mvm-ci:guest/host@1.0.0" (instance $host
    (export "http" (func (param "request" string) (result string)))
    (export "call" (func (param "name" string) (param "argument" string) (result string)))))"""
_LOWERED: Final = '(core func ${0} (canon lower (func $host "{0}") (memory $memory) (realloc $realloc)))'
HOST_LOWERED: Final = _LOWERED.format("http") + _LOWERED.format("call")
HOST_FUNCTIONS: Final = """(import "x" "http" (func $http (param i32 i32 i32)))
    (import "x" "call" (func $call (param i32 i32 i32 i32 i32)))"""
HOST_GIVEN: Final = '(export "http" (func $http)) (export "call" (func $call))'


def with_host(body: str, *, pages: int = 20, realloc: str = "i32.const 1024", start: str = "") -> bytes:
    """The same with both functions of our host, as ``$http`` and ``$call``."""
    return component(
        body,
        pages=pages,
        imports=HOST,
        lowered=HOST_LOWERED,
        functions=HOST_FUNCTIONS,
        given=HOST_GIVEN,
        realloc=realloc,
        start=start,
    )


def with_one(interface: str, name: str, kind: str, parameters: str, body: str) -> bytes:
    """A component with one import, ``$f``, of a type of our own choosing: ``kind`` as the component says
    it, ``parameters`` as its inner module does.
    """
    return component(
        body,
        imports=f'(import "{interface}" (instance $host (export "{name}" (func {kind}))))',
        lowered=f'(core func $f (canon lower (func $host "{name}") (memory $memory) (realloc $realloc)))',
        functions=f'(import "x" "f" (func $f {parameters}))',
        given='(export "f" (func $f))',
    )


def returned(pointer: int = 64, size: int = 0, tag: int = 0) -> str:
    """The end of a body: ``tag`` 0 is a result, 1 an error, anything else is nothing."""
    return (
        f"(i32.store (i32.const 16) (i32.const {tag})) (i32.store (i32.const 20) (i32.const {pointer}))"
        f"(i32.store (i32.const 24) (i32.const {size})) i32.const 16"
    )


def text(source: str) -> bytes:
    """A binary of its text."""
    return bytes(wasmtime.wat2wasm(source))


def number(value: int) -> bytes:
    """An unsigned LEB128 number."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def section(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + number(len(body)) + body


def name(value: bytes) -> bytes:
    return number(len(value)) + value


def assembled(
    *, functions: bytes = b"\x02\0\x0b", count: int = 1, pages: int = 1, data: bytes = b""
) -> bytes:
    """A module of ``count`` functions of no parameters; the first one is ``_start``. ``functions``: the size
    and code of each, ``data``: of the data section.
    """
    return b"".join(
        (
            HEAD,
            section(1, b"\x01\x60\0\0"),
            section(3, number(count) + bytes(count)),
            section(5, b"\x01\0" + number(pages)),
            section(7, b"\x02" + name(b"memory") + b"\x02\0" + name(b"_start") + b"\0\0"),
            section(10, number(count) + functions),
            section(11, data) if data else b"",
        )
    )


def named(module: bytes, *names: bytes) -> bytes:
    """``module`` with a name section that gives its functions these names."""
    functions = number(len(names)) + b"".join(number(at) + name(one) for at, one in enumerate(names))
    return module + section(0, name(b"name") + section(1, functions))

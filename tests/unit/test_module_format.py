"""The parser of WebAssembly binaries: what it reads, and that no bytes at all surprise it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.domain.errors import BadModule
from mvm_ci.domain.module import MAX_IMPORTS, MAX_MODULE_BYTES, Manifest, inspect, with_manifest

CORE = b"\0asm\x01\0\0\0"
COMPONENT = b"\0asm\x0d\0\x01\0"


def section(kind: int, body: bytes) -> bytes:
    return bytes([kind, len(body)]) + body


def number(value: int) -> bytes:
    return bytes([value & 127 | 128, value >> 7])


def name(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def core(imports: list[tuple[str, str]] | None = None, exports: tuple[str, ...] = ("run",)) -> bytes:
    found = imports or []
    entries = b"".join(name(module) + name(item) + b"\0\0" for module, item in found)
    outside = b"".join(name(item) + b"\0\0" for item in exports) + name("memory") + b"\x02\0"
    return CORE + section(2, bytes([len(found)]) + entries) + section(7, bytes([len(exports) + 1]) + outside)


def component(imports: tuple[str, ...], exports: tuple[str, ...] = ("run",)) -> bytes:
    entries = b"".join(b"\0" + name(item) + b"\x05\0" for item in imports)
    outside = b"".join(b"\0" + name(item) + b"\x01\0\0" for item in exports)
    return (
        COMPONENT
        + section(10, bytes([len(imports)]) + entries)
        + section(11, bytes([len(exports)]) + outside)
    )


def test_a_core_module() -> None:
    info = inspect(core([("mvm_ci_v1", "output"), ("wasi_snapshot_preview1", "fd_write")]))
    assert info.kind == "core"
    assert info.imports == (("mvm_ci_v1", "output"), ("wasi_snapshot_preview1", "fd_write"))
    assert info.exports == ("run", "memory")
    assert info.manifest is None


def test_a_component() -> None:
    info = inspect(component(("wasi:io/poll@0.2.6", "mvm-ci:guest/host@1.0.0")))
    assert info.kind == "component"
    assert info.imports == (("wasi:io/poll@0.2.6", ""), ("mvm-ci:guest/host@1.0.0", ""))


@pytest.mark.parametrize("data", [core(), component(())], ids=["core", "component"])
def test_a_manifest_is_kept_and_replaced(data: bytes) -> None:
    first = Manifest(name="a", abi="x", allow_hosts=("h",))
    second = Manifest(name="b")
    once = with_manifest(data, first)
    assert inspect(once).manifest == first
    assert once.startswith(data)
    again = with_manifest(once, second)
    assert inspect(again).manifest == second
    assert with_manifest(again, first) == once


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "does not start with"),
        (b"#!/bin/sh", "does not start with"),
        (b"\0asm", "header is cut off"),
        (b"\0asm\x02\0\0\0", "unknown version"),
        (CORE, "exports no function run or _start"),
        (COMPONENT, "does not export run"),
        (CORE + b"\x07\x7f", "cut off"),
        (core()[:-1], "cut off"),
        (CORE + b"\x07\xff\xff\xff\xff\xff\xff", "too long"),
        (core([("env", "abort")]), r"imports env\.abort; there are mvm_ci_v1 and wasi_snapshot_preview1"),
        (
            core([("mvm_ci_v1", "nope")]),
            r"imports mvm_ci_v1\.nope; there are artifact_read, .*, call_read, fail",
        ),
        (component(("wasi:http/types@0.2.0",)), "imports wasi:http/types@0.2.0; there are mvm-ci:guest"),
        (component(("wasi:io/poll@0.3.0",)), "imports wasi:io/poll@0.3.0"),
        (CORE + section(2, b"\x01" + name("env") + name("memory") + b"\x02\0\x01"), "not a function"),
        (core() + section(0, name("mvm-ci") + b"{"), "manifest cannot be read"),
        (CORE + section(7, b"\x02" + name("run") + b"\0\0" + name("memory") + b"\0\0"), "is not a memory"),
        (CORE + section(7, b"\x01" + name("run") + b"\x02\0"), "exports no function run"),
        (CORE + section(2, number(MAX_IMPORTS + 1)), "more than 1000 imports or exports"),
        (CORE + section(7, number(MAX_IMPORTS + 1)), "more than 1000 imports or exports"),
        (core() + section(0, b"\x01x") * 20_001, "more than 20000 sections"),
        (core() + section(0, b"\x05x"), "a name of 5 bytes"),
        (core() + section(0, b"\x01\xff"), "not UTF-8"),
    ],
)
def test_what_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(BadModule, match=reason) as caught:
        inspect(data)
    assert "\n" not in str(caught.value)


def test_a_module_that_is_too_large() -> None:
    with pytest.raises(BadModule, match="at most"):
        inspect(CORE + bytes(MAX_MODULE_BYTES))


def survives(data: bytes) -> None:
    try:
        info = inspect(data)
    except BadModule:
        return
    assert inspect(with_manifest(data, Manifest(name="x"))).imports == info.imports


@given(st.sampled_from([CORE, COMPONENT, b""]), st.binary(max_size=300))
def test_any_bytes(head: bytes, data: bytes) -> None:
    survives(head + data)


@given(
    st.sampled_from([core([("mvm_ci_v1", "log")]), component(("wasi:io/poll@0.2.6",))]),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=5),
)
def test_changed_bytes(data: bytes, changes: list[tuple[int, int]]) -> None:
    changed = bytearray(data)
    for at, value in changes:
        changed[at % len(data)] = value
    survives(bytes(changed))

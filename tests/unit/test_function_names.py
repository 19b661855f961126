"""Names of functions that a traceback cannot bear are taken out of a binary; nothing else of it changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvm_ci.adapters.wasm.function_names import MAX_NAME, MAX_REFERENCES, without_harmful_names

CORE = b"\0asm\x01\0\0\0"
COMPONENT = b"\0asm\x0d\0\x01\0"
TWICE = b"_Z1f1A" + b"1BIS_S_E" + b"S1_IS2_S2_E" * 20
"""Each part stands for twice the one before."""


def number(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def section(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + number(len(body)) + body


def named(*names: bytes, kind: int = 1) -> bytes:
    functions = number(len(names)) + b"".join(
        number(index) + number(len(name)) + name for index, name in enumerate(names)
    )
    return section(0, b"\x04name" + section(kind, functions))


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"main",
        b"a" * MAX_NAME,
        b"_ZN4core3fmt9Formatter9alternate17h0123456789abcdefE",
        b"_ZNSt6vectorIiSaIiEE9push_backERKi",
        b"a_name_in_many_parts_" * 40,
    ],
)
def test_harmless_names_stay(name: bytes) -> None:
    kept = without_harmful_names(CORE + named(b"first", name, b"last"))
    assert len(name) > 1_000 or kept == CORE + named(b"first", name, b"last")
    assert b"\x04name" in kept


@pytest.mark.parametrize("name", [TWICE, b"_R" + b"NtB_4a" * (MAX_REFERENCES + 1), b"_Z1f" + b"P" * 1_000])
def test_a_name_that_could_become_longer_and_longer_is_no_mangled_name_any_more(name: bytes) -> None:
    data = CORE + named(b"first", name, b"last")
    assert without_harmful_names(data) == data.replace(name, b"?" + name[1:])


@pytest.mark.parametrize(
    "names",
    [
        named(b"x" * (MAX_NAME + 1)),
        named(b"x" * (40 << 20)),
        named(b"m" * (MAX_NAME + 1), kind=0),
        section(0, b"\x04name" + b"\xff" * 100),
        section(0, b"\x04name" + section(1, b"\x05\x00\x7fshort")),
        section(0, b"\x04name" + b"\x01\x7f"),
    ],
)
def test_names_that_are_too_long_or_none_are_not_read(names: bytes) -> None:
    data = CORE + section(9, b"before") + names + section(10, b"after")
    assert without_harmful_names(data) == data.replace(b"\x04name", b"\x04?ame")


def test_binaries_inside_a_component_are_looked_at() -> None:
    inner = COMPONENT + section(1, CORE + named(TWICE))
    data = COMPONENT + section(1, CORE + named(b"fine")) + section(4, inner) + section(11, b"end")
    assert without_harmful_names(data) == data.replace(TWICE, b"?" + TWICE[1:])


def test_deep_nesting_costs_no_stack() -> None:
    data = COMPONENT
    for _ in range(500):
        data = COMPONENT + section(4, data)
    assert without_harmful_names(data) == data


@given(st.sampled_from([CORE, COMPONENT, b""]), st.binary(max_size=300), st.binary(max_size=100))
def test_any_bytes_keep_their_place(head: bytes, data: bytes, names: bytes) -> None:
    whole = head + data + section(0, b"\x04name" + names)
    assert len(without_harmful_names(whole)) == len(whole)

"""The names of functions in a binary, which stand in the text of every trap.

The engine makes that text, on the thread of all guests, and turns mangled names into readable ones. A name of
200 bytes can be made to become a gigabyte by that, a name of 40 MB is long as it is. Such names go before the
binary is compiled: bytes are changed where they stand, and nothing else of the binary.
"""

from typing import Final

MAX_NAME: Final = 16 << 10
"""Bytes. Where one name is longer, none of its module is known to the engine."""
MAX_MANGLED: Final = 1_000
MAX_REFERENCES: Final = 16
"""A mangled name with more of them, or that is longer, is shown as it is: each reference may stand for
everything before it, so that the readable name can be longer by a factor of about 2 ** (references / 3).
"""
_HEADER: Final = 8
_COMPONENT: Final = b"\0asm\x0d"
_NAME_SECTION: Final = b"name"
_NESTED: Final = (1, 4)
"""Sections of a component that are binaries themselves: core modules, components."""
_MODULE_NAME, _FUNCTION_NAMES = 0, 1
_LETTERS: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_REFERS: Final = frozenset(b"STB")
_UNKNOWN: Final = ord("?")


class _Malformed(Exception):
    """The compiler says what is wrong, if it minds."""


def without_harmful_names(data: bytes) -> bytes:
    """``data``, whatever it is, with names that can be shown."""
    changed = bytearray(data)
    binaries = [(0, len(data))]
    while binaries:
        start, end = binaries.pop()
        nests = data[start : start + len(_COMPONENT)] == _COMPONENT
        try:
            for section, at, size in _parts(data, start + _HEADER, end):
                if nests and section in _NESTED:
                    binaries.append((at, at + size))
                elif not nests and section == 0:
                    _look_at_custom(changed, data, at, at + size)
        except _Malformed:
            continue
    return bytes(changed)


def _look_at_custom(changed: bytearray, data: bytes, at: int, end: int) -> None:
    size, at = _number(data, at, end)
    if data[at : at + size] != _NAME_SECTION:
        return
    try:
        parts = _parts(data, at + size, end)
        bad = any(kind == _MODULE_NAME and length > MAX_NAME for kind, _, length in parts)
        for kind, start, length in parts:
            if kind == _FUNCTION_NAMES:
                _look_at_functions(changed, data, start, start + length)
    except _Malformed:
        bad = True
    if bad:
        # A section of another name is passed over.
        changed[at] = _UNKNOWN


def _look_at_functions(changed: bytearray, data: bytes, at: int, end: int) -> None:
    count, at = _number(data, at, end)
    for _ in range(count):
        _, at = _number(data, at, end)
        size, at = _number(data, at, end)
        if size > min(MAX_NAME, end - at):
            raise _Malformed
        if size > MAX_MANGLED or _references(data[at : at + size]) > MAX_REFERENCES:
            # No mangled name begins so.
            changed[at] = _UNKNOWN
        at += size


def _references(name: bytes) -> int:
    """How many references a mangled name has at most, if many: they are ``S_``, ``T0_``, ``Bxyz_``."""
    if name.count(b"_") <= MAX_REFERENCES:
        return 0
    parts = name.split(b"_")[:-1]
    return sum(not _REFERS.isdisjoint(part[len(part.rstrip(_LETTERS)) :]) for part in parts)


def _parts(data: bytes, at: int, end: int) -> list[tuple[int, int, int]]:
    """What stands there as (id, start, size) each; raises ``_Malformed`` if the last one is not whole."""
    found = []
    while at < end:
        kind = data[at]
        size, at = _number(data, at + 1, end)
        if size > end - at:
            raise _Malformed
        found.append((kind, at, size))
        at += size
    return found


def _number(data: bytes, at: int, end: int) -> tuple[int, int]:
    """An unsigned LEB128 number and where it ends."""
    value = shift = 0
    while at < end and shift < 35:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
    raise _Malformed

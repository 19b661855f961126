"""Values of components as *images*: the 32 bytes that the C API holds for one. A value that points to more
owns it, until its image was placed somewhere that the library frees.

Built by hand because the package's conversions cost microseconds for each value, so for each byte of a list.
"""

import ctypes
import struct
from collections.abc import Iterable
from ctypes import c_char, c_uint8, c_uint32, c_uint64, memmove, string_at
from typing import Final

from wasmtime import _bindings as bindings
from wasmtime import _ffi as ffi

from mvm_ci.adapters.wasm import capi

Value: Final = bindings.wasmtime_component_val_t
BYTES: Final = ctypes.sizeof(Value)
_AT: Final = Value.of.offset
_BOOL: Final = ffi.WASMTIME_COMPONENT_BOOL.value
_U8: Final = ffi.WASMTIME_COMPONENT_U8.value
_U32: Final = ffi.WASMTIME_COMPONENT_U32.value
_U64: Final = ffi.WASMTIME_COMPONENT_U64.value
_STRING: Final = ffi.WASMTIME_COMPONENT_STRING.value
_LIST: Final = ffi.WASMTIME_COMPONENT_LIST.value
_RECORD: Final = ffi.WASMTIME_COMPONENT_RECORD.value
_TUPLE: Final = ffi.WASMTIME_COMPONENT_TUPLE.value
_VARIANT: Final = ffi.WASMTIME_COMPONENT_VARIANT.value
_ENUM: Final = ffi.WASMTIME_COMPONENT_ENUM.value
_OPTION: Final = ffi.WASMTIME_COMPONENT_OPTION.value
_RESULT: Final = ffi.WASMTIME_COMPONENT_RESULT.value
_FLAGS: Final = ffi.WASMTIME_COMPONENT_FLAGS.value
_RESOURCE: Final = ffi.WASMTIME_COMPONENT_RESOURCE.value

_ONE: Final = struct.Struct("<B7xQ16x")
_TWO: Final = struct.Struct("<B7xQQ8x")
_THREE: Final = struct.Struct("<B7xQQQ")
_PAIR: Final = struct.Struct("<QQ")
_PAIR_BYTES: Final = _PAIR.size
_WORD: Final = 8
_NAME_BYTES: Final = 16
_scratch: Final = (Value * 1)()
_SCRATCH: Final = ctypes.addressof(_scratch)
_OF: Final = _SCRATCH + _AT
_BYTE: Final = _ONE.pack(_U8, 0)
_KEPT_OCTETS: Final = 64 << 10
_octets: Final = bytearray(_BYTE * _KEPT_OCTETS)  # making it anew costs more than filling it


# ---------------------------------------------------------------- reading; ``at``: the address of a value


class WrongType(Exception):
    """A value is of another type than what it is read as: the linker takes an import of any type for a host
    function.
    """


def number_at(at: int) -> int:
    """A u64."""
    return c_uint64.from_address(_inside(at, _U64)).value


def u32_at(at: int) -> int:
    """A u32."""
    return c_uint32.from_address(_inside(at, _U32)).value


def resource_at(at: int) -> int:
    """What a resource points to."""
    return c_uint64.from_address(_inside(at, _RESOURCE)).value


def option_at(at: int) -> int:
    """The address of what an option holds; 0 for nothing."""
    return c_uint64.from_address(_inside(at, _OPTION)).value


def encoded_at(at: int) -> bytes:
    """The bytes of a string."""
    size, data = _pair(_inside(at, _STRING))
    return string_at(data, size)


def size_at(at: int) -> int:
    """How many bytes a string has."""
    return c_uint64.from_address(_inside(at, _STRING)).value


def count_at(at: int) -> int:
    """How many values a list has."""
    return c_uint64.from_address(_inside(at, _LIST)).value


def octets_at(at: int, most: int) -> bytes:
    """A list of u8, or its first ``most``."""
    size, data = _pair(_inside(at, _LIST))
    if not size:
        return b""
    _inside(data, _U8)  # as all of them are
    return string_at(data, BYTES * min(size, most))[_AT::BYTES]


def flags_at(at: int) -> set[str]:
    """The names of the flags that are set."""
    size, data = _pair(_inside(at, _FLAGS))
    vectors = (_pair(data + _NAME_BYTES * index) for index in range(size))
    return {string_at(name, length).decode() for length, name in vectors}


def case_at(at: int) -> tuple[str, int]:
    """The name of a variant's case, and the address of its value; 0 for none."""
    inside = _inside(at, _VARIANT)
    size, data = _pair(inside)
    return string_at(data, size).decode(), c_uint64.from_address(inside + _PAIR_BYTES).value


def result_at(at: int) -> int:
    """The address of what a result holds; 0 for nothing."""
    return c_uint64.from_address(_inside(at, _RESULT) + _WORD).value


def answer_at(at: int) -> tuple[bool, int] | None:
    """Whether a ``result<string, string>`` is ok, and the address of its string; None if the value is
    something else.
    """
    try:
        inside = result_at(at)
        _inside(inside, _STRING)
    except WrongType:
        return None
    return bool(c_uint8.from_address(at + _AT).value), inside


def items_at(at: int) -> list[int]:
    """The addresses of a list's values."""
    size, data = _pair(_inside(at, _LIST))
    return [data + BYTES * index for index in range(size)]


def fields_at(at: int, count: int) -> list[int]:
    """The addresses of the values of a record with so many, in their order."""
    size, data = _pair(_inside(at, _RECORD))
    if size != count:
        raise WrongType
    return [data + (_NAME_BYTES + BYTES) * index + _NAME_BYTES for index in range(size)]


def _inside(at: int, kind: int) -> int:
    if not at or c_uint8.from_address(at).value != kind:
        raise WrongType
    return at + _AT


def _pair(at: int) -> tuple[int, int]:
    first, second = _PAIR.unpack(string_at(at, _PAIR_BYTES))
    return first, second


# ---------------------------------------------------------------- building


class Template:
    """A value that is built once, copied, and changed where copies differ: cheaper if it has many parts."""

    def __init__(self, image: bytes) -> None:
        self._value = Value.from_buffer_copy(image)
        self._at = ctypes.addressof(self._value)

    def copy_to(self, at: int) -> None:
        """Makes the value at ``at``, which owns nothing yet, a copy."""
        capi.component_value_clone(self._at, at)


def set_u64(at: int, value: int) -> None:
    """Changes the u64 at ``at``."""
    c_uint64.from_address(at + _AT).value = value


def set_u32(at: int, value: int) -> None:
    """Changes the u32 at ``at``."""
    c_uint32.from_address(at + _AT).value = value


def place(at: int, image: bytes) -> None:
    """Makes the value at ``at``, which owns nothing yet, that of ``image``."""
    memmove(at, image, BYTES)


def boolean(value: bool) -> bytes:  # noqa: FBT001 - it is the value
    """A bool."""
    return _ONE.pack(_BOOL, value)


def u32(value: int) -> bytes:
    """A u32."""
    return _ONE.pack(_U32, value)


def u64(value: int) -> bytes:
    """A u64."""
    return _ONE.pack(_U64, value)


def text(data: bytes) -> bytes:
    """A string of ``data`` (UTF-8)."""
    capi.byte_vec_new(_OF, len(data), data)
    return _TWO.pack(_STRING, *_pair(_OF))


def case(name: bytes) -> bytes:
    """One case of an enum."""
    capi.byte_vec_new(_OF, len(name), name)
    return _TWO.pack(_ENUM, *_pair(_OF))


def flags(names: Iterable[bytes]) -> bytes:
    """Flags that are set."""
    vectors = [_name(name) for name in names]
    capi.flags_new(_OF, len(vectors), b"".join(vectors))
    return _TWO.pack(_FLAGS, *_pair(_OF))


def record(*fields: tuple[bytes, bytes]) -> bytes:
    """A record of names and images, in their order."""
    capi.record_new(_OF, len(fields), b"".join([_name(name) + image for name, image in fields]))
    return _TWO.pack(_RECORD, *_pair(_OF))


def group(*images: bytes) -> bytes:
    """A tuple."""
    capi.tuple_new(_OF, len(images), b"".join(images))
    return _TWO.pack(_TUPLE, *_pair(_OF))


def several(*images: bytes) -> bytes:
    """A list."""
    capi.list_new(_OF, len(images), b"".join(images))
    return _TWO.pack(_LIST, *_pair(_OF))


def octets(data: bytes) -> bytes:
    """A list of u8."""
    size = len(data)
    images = _octets if size <= _KEPT_OCTETS else bytearray(_BYTE * size)
    images[_AT : BYTES * size : BYTES] = data
    capi.list_new(_OF, size, ctypes.addressof(c_char.from_buffer(images)))
    return _TWO.pack(_LIST, *_pair(_OF))


def some(image: bytes | None) -> bytes:
    """An option."""
    return _ONE.pack(_OPTION, _box(image))


def ok(image: bytes | None = None) -> bytes:
    """A result that is good."""
    return _TWO.pack(_RESULT, 1, _box(image))


def error(image: bytes) -> bytes:
    """A result that is an error."""
    return _TWO.pack(_RESULT, 0, _box(image))


def variant(name: bytes, image: bytes | None = None) -> bytes:
    """One case of a variant."""
    pointer = _box(image)
    capi.byte_vec_new(_OF, len(name), name)
    return _THREE.pack(_VARIANT, *_pair(_OF), pointer)


def resource(pointer: int) -> bytes:
    """The resource at ``pointer``."""
    return _ONE.pack(_RESOURCE, pointer)


def _name(name: bytes) -> bytes:
    capi.byte_vec_new(_OF, len(name), name)
    return string_at(_OF, _NAME_BYTES)


def _box(image: bytes | None) -> int:
    if image is None:
        return 0
    memmove(_SCRATCH, image, BYTES)
    pointer: int = capi.component_value_new(_SCRATCH)
    return pointer

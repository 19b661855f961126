"""A repair of iroh's generated bindings, which copy every byte that is sent with a Python loop (8 MB/s).

Fixed in the generator (uniffi) 0.32; iroh 1.2 was made with 0.31. A test fails as soon as the installed iroh
does not need this module any more: delete both then.
"""

import ctypes
import struct
from typing import Any

from iroh import iroh_ffi


def needed() -> bool:
    """Whether the installed bindings have the slow loop, in the form that ``apply`` replaces."""
    builder = getattr(iroh_ffi, "_UniffiRustBufferBuilder", None)
    if builder is None or not hasattr(builder, "_reserve"):
        return False
    return all(_loops(getattr(builder, name, None)) for name in ("write", "_pack_into"))


def apply() -> None:
    """Replaces the loop by one copy, if it is there. Safe to repeat."""
    if needed():
        # The class has no public name, and a checker is right that methods are not to be replaced elsewhere.
        builder: Any = iroh_ffi._UniffiRustBufferBuilder  # noqa: SLF001
        builder.write = _write
        builder._pack_into = _pack_into  # noqa: SLF001


def _loops(method: Any) -> bool:
    code = getattr(method, "__code__", None)
    return code is not None and "enumerate" in code.co_names


def _write(self: Any, value: bytes | bytearray) -> None:
    data = bytes(value)  # no copy for bytes, which is what memmove takes
    with self._reserve(len(data)):
        ctypes.memmove(ctypes.addressof(self.rbuf.data.contents) + self.rbuf.len, data, len(data))


def _pack_into(self: Any, size: int, form: str, value: float) -> None:
    with self._reserve(size):
        ctypes.memmove(
            ctypes.addressof(self.rbuf.data.contents) + self.rbuf.len, struct.pack(form, value), size
        )

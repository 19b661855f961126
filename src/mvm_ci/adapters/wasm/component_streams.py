"""Streams of WASI preview 2, replaced as a whole: of files, of what a guest prints, and of its empty input.

The library's own streams lead to the host's files and terminals, and a guest's files could not share their
type.
"""

from collections.abc import Callable
from typing import Final

from mvm_ci.adapters.wasm.component_host import WASI_VERSION, Call, Function, Kind
from mvm_ci.adapters.wasm.component_images import case, error, octets, ok, text, u64, variant
from mvm_ci.adapters.wasm.component_polls import ready
from mvm_ci.adapters.wasm.failures import guest_failed
from mvm_ci.domain.outcome import FailureKind
from mvm_ci.files.errors import Errno, FileError
from mvm_ci.files.handle import Handle

MAX_CHUNK: Final = 64 << 10
"""Bytes that one call reads or may write: the library holds each of them as a value of 32 bytes meanwhile."""


class Closed(Exception):
    """There is no more to read."""


class Input:
    """What a guest reads from, in order: a file, or nothing at all."""

    __slots__ = ("_handle", "_position")

    def __init__(self, handle: Handle | None = None, position: int = 0) -> None:
        self._handle = handle
        self._position = position

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes. Raises ``Closed`` at the end."""
        if size == 0:
            return b""
        data = self._handle.read_at(self._position, min(size, MAX_CHUNK)) if self._handle else b""
        if not data:
            raise Closed
        self._position += len(data)
        return data

    def close(self) -> None:
        """Ends its use."""
        if self._handle is not None:
            self._handle.close()


class Output:
    """What a guest writes to, in order."""

    __slots__ = ()

    def room(self) -> int:
        """How many bytes may be written next. Raises ``FileError`` if there is no more room."""
        return MAX_CHUNK

    def write(self, data: bytes) -> None:
        """Writes all of ``data``, or raises ``FileError``."""
        raise NotImplementedError


class Printed(Output):
    """What is shown as it is written."""

    __slots__ = ("_show",)

    def __init__(self, show: Callable[[bytes], None]) -> None:
        self._show = show

    def write(self, data: bytes) -> None:
        self._show(data)


class Written(Output):
    """A file. ``position``: None to append."""

    __slots__ = ("_handle", "_position")

    def __init__(self, handle: Handle, position: int | None) -> None:
        self._handle = handle
        self._position = position

    def room(self) -> int:
        return min(self._handle.room(self._position), MAX_CHUNK)

    def write(self, data: bytes) -> None:
        if self._position is None:
            written = self._handle.append(data)
        else:
            written = self._handle.write_at(self._position, data)
            self._position += written
        if written < len(data):
            raise FileError(Errno.NOSPC)

    def close(self) -> None:
        """Ends its use."""
        self._handle.close()


def _answered(function: Function) -> Function:
    """A function whose result may be a stream's error."""

    def call(call: Call) -> bytes | None:
        try:
            return function(call)
        except Closed:
            return error(variant(b"closed"))
        except FileError as refused:
            return error(variant(b"last-operation-failed", call.give(Kind.ERROR, refused.errno)))

    return call


def _read(call: Call) -> bytes:
    return ok(octets(call.borrowed(0, Input).read(call.number(1))))


def _skip(call: Call) -> bytes:
    return ok(u64(len(call.borrowed(0, Input).read(call.number(1)))))


def _check_write(call: Call) -> bytes:
    return ok(u64(call.borrowed(0, Output).room()))


def _must_be_permitted(size: int) -> None:
    if size > MAX_CHUNK:
        raise guest_failed(FailureKind.TRAP, f"wrote {size} bytes at once, of {MAX_CHUNK} that are permitted")


def _write(call: Call) -> bytes:
    _must_be_permitted(call.count(1))
    call.borrowed(0, Output).write(call.octets(1, MAX_CHUNK))
    return ok()


def _write_zeroes(call: Call) -> bytes:
    size = call.number(1)
    _must_be_permitted(size)
    call.borrowed(0, Output).write(bytes(size))
    return ok()


def _flush(call: Call) -> bytes:
    call.borrowed(0, Output)
    return ok()


def _splice(call: Call) -> bytes:
    sink, source = call.borrowed(0, Output), call.borrowed(1, Input)
    data = source.read(min(call.number(2), sink.room()))
    sink.write(data)
    return ok(u64(len(data)))


def _subscribe(call: Call) -> bytes:
    # There is always something to read, or the end, and room or an error.
    call.borrowed(0, object)
    return ready(call)


def _debug_string(call: Call) -> bytes:
    return text(call.borrowed(0, Errno).name.encode())


def _input(call: Call) -> bytes:
    return call.give(Kind.INPUT, Input())


def _printed(stream: str) -> Function:
    return lambda call: call.give(Kind.OUTPUT, Printed(lambda data: call.run.write(stream, data)))


def _no_connection(call: Call) -> bytes:
    call.give_back(0)
    return error(case(b"not-supported"))


_STREAMS: Final[dict[str, Function]] = {
    "input-stream.read": _read,
    "input-stream.blocking-read": _read,
    "input-stream.skip": _skip,
    "input-stream.blocking-skip": _skip,
    "output-stream.check-write": _check_write,
    "output-stream.write": _write,
    "output-stream.blocking-write-and-flush": _write,
    "output-stream.flush": _flush,
    "output-stream.blocking-flush": _flush,
    "output-stream.write-zeroes": _write_zeroes,
    "output-stream.blocking-write-zeroes-and-flush": _write_zeroes,
    "output-stream.splice": _splice,
    "output-stream.blocking-splice": _splice,
}
FUNCTIONS: Final[dict[str, dict[str, Function]]] = {
    f"wasi:io/error@{WASI_VERSION}": {"[method]error.to-debug-string": _debug_string},
    f"wasi:io/streams@{WASI_VERSION}": {
        **{f"[method]{name}": _answered(function) for name, function in _STREAMS.items()},
        "[method]input-stream.subscribe": _subscribe,
        "[method]output-stream.subscribe": _subscribe,
    },
    f"wasi:cli/stdin@{WASI_VERSION}": {"get-stdin": _input},
    f"wasi:cli/stdout@{WASI_VERSION}": {"get-stdout": _printed("stdout")},
    f"wasi:cli/stderr@{WASI_VERSION}": {"get-stderr": _printed("stderr")},
    # They hand out streams, too. No socket ever gets so far.
    f"wasi:sockets/tcp@{WASI_VERSION}": {
        f"[method]tcp-socket.{name}": _no_connection for name in ("accept", "finish-connect")
    },
}
RESOURCES: Final = {
    f"wasi:io/error@{WASI_VERSION}": {"error": Kind.ERROR},
    f"wasi:io/streams@{WASI_VERSION}": {"input-stream": Kind.INPUT, "output-stream": Kind.OUTPUT},
}

"""Descriptors of files as WASI preview 1 has them, on the execution's own file system."""

from collections.abc import Callable, Mapping
from typing import Final

from mvm_ci.adapters.wasm.core_host import CoreRun, HostFunction, Signature
from mvm_ci.adapters.wasm.preview1_descriptors import (
    APPEND,
    FLAGS,
    NUMBERS,
    SUCCESS,
    Opened,
    Stream,
    listed,
)
from mvm_ci.files.errors import Errno, FileError
from mvm_ci.files.handle import Handle
from mvm_ci.files.nodes import Directory
from mvm_ci.files.system import NOW

_NOTSOCK: Final = 57
_NOTSUP: Final = 58
_MAX_PARTS: Final = 1_024
MAX_TRANSFER: Final = 16 << 20
"""Bytes that one call reads or writes at most: a few milliseconds' work."""
_MAX_SHOWN: Final = 1 << 20
_ADVICES: Final = 6
_END: Final = 2

Function = Callable[..., None]


def answered(function: Function) -> HostFunction:
    """``function``, whose refusals become error numbers."""

    def call(run: CoreRun, *arguments: int) -> int:
        try:
            function(run, *arguments)
        except FileError as error:
            return NUMBERS[error.errno]
        return SUCCESS

    return call


def answered_all(functions: Mapping[str, tuple[str, Function]]) -> dict[str, tuple[Signature, HostFunction]]:
    """``functions``, by name, with the letters of their parameters; they answer with an error number."""
    return {name: ((letters, "i"), answered(function)) for name, (letters, function) in functions.items()}


def number(data: bytes, at: int, size: int) -> int:
    """The unsigned number of ``size`` bytes at ``at``."""
    return int.from_bytes(data[at : at + size], "little")


def put(run: CoreRun, pointer: int, value: int, size: int) -> None:
    """Stores a number of ``size`` bytes."""
    run.store(pointer, value.to_bytes(size, "little"))


def _parts(run: CoreRun, pointer: int, count: int, room: int = MAX_TRANSFER) -> list[tuple[int, int]]:
    """The pieces of memory of a vector, cut off where a call's most bytes are reached."""
    if count > _MAX_PARTS:
        raise FileError(Errno.INVAL)
    table = run.read(pointer, 8 * count)
    parts = []
    for at in range(0, 8 * count, 8):
        start, size = number(table, at, 4), number(table, at + 4, 4)
        run.must_reach(start, size)
        parts.append((start, min(size, room)))
        room -= min(size, room)
    return parts


def _gathered(run: CoreRun, pointer: int, count: int, room: int = MAX_TRANSFER) -> bytes:
    return b"".join(run.read(at, size) for at, size in _parts(run, pointer, count, room))


def _scattered(run: CoreRun, parts: list[tuple[int, int]], data: bytes, done: int) -> None:
    """Fills ``parts`` with ``data``, and says at ``done`` how much it was."""
    taken = 0
    for at, size in parts:
        run.store(at, data[taken : taken + size])
        taken += size
    put(run, done, len(data), 4)


def new_times(atime_ns: int, mtime_ns: int, flags: int) -> tuple[int | None, int | None]:
    """What the times become, by the bits of ``fstflags``."""
    atime, atime_now, mtime, mtime_now = (flags & 1 << bit for bit in range(4))
    if flags >> 4 or (atime and atime_now) or (mtime and mtime_now):
        raise FileError(Errno.INVAL)
    return (
        NOW if atime_now else atime_ns if atime else None,
        NOW if mtime_now else mtime_ns if mtime else None,
    )


# ---------------------------------------------------------------- contents


def _fd_read(run: CoreRun, descriptor: int, pointer: int, count: int, done: int) -> None:
    found = run.descriptors.get(descriptor)
    parts = _parts(run, pointer, count)
    if isinstance(found, Opened):
        _scattered(run, parts, found.handle.read(sum(size for _, size in parts)), done)
    elif found.name:
        raise FileError(Errno.BADF)
    else:
        put(run, done, 0, 4)


def _fd_write(run: CoreRun, descriptor: int, pointer: int, count: int, done: int) -> None:
    found = run.descriptors.get(descriptor)
    data = _gathered(run, pointer, count, _MAX_SHOWN if isinstance(found, Stream) else MAX_TRANSFER)
    if isinstance(found, Stream):
        if not found.name:
            raise FileError(Errno.BADF)
        run.write(found.name, data)
        size = len(data)
    elif found.flags & APPEND:
        size = found.handle.append(data)
        found.handle.position = found.handle.node.size
    else:
        size = found.handle.write(data)
    put(run, done, size, 4)


def _fd_pread(run: CoreRun, descriptor: int, pointer: int, count: int, offset: int, done: int) -> None:
    handle, parts = _file(run, descriptor), _parts(run, pointer, count)
    _scattered(run, parts, handle.read_at(offset, sum(size for _, size in parts)), done)


def _fd_pwrite(run: CoreRun, descriptor: int, pointer: int, count: int, offset: int, done: int) -> None:
    put(run, done, _file(run, descriptor).write_at(offset, _gathered(run, pointer, count)), 4)


def _file(run: CoreRun, descriptor: int) -> Handle:
    found = run.descriptors.get(descriptor)
    if isinstance(found, Stream):
        raise FileError(Errno.SPIPE)
    if isinstance(found.handle.node, Directory):
        raise FileError(Errno.ISDIR)
    return found.handle


def _fd_seek(run: CoreRun, descriptor: int, offset: int, whence: int, pointer: int) -> None:
    handle = _file(run, descriptor)
    if whence > _END:
        raise FileError(Errno.INVAL)
    # It was read as unsigned.
    position = offset - (1 << 64) if offset >> 63 else offset
    position += (0, handle.position, handle.node.size)[whence]
    if not 0 <= position < 1 << 63:
        raise FileError(Errno.INVAL)
    handle.position = position
    put(run, pointer, position, 8)


def _fd_tell(run: CoreRun, descriptor: int, pointer: int) -> None:
    handle = _file(run, descriptor)
    put(run, pointer, handle.position, 8)


def _fd_advise(run: CoreRun, descriptor: int, _offset: int, _size: int, advice: int) -> None:
    _file(run, descriptor)
    if advice >= _ADVICES:
        raise FileError(Errno.INVAL)


def _fd_allocate(run: CoreRun, descriptor: int, offset: int, size: int) -> None:
    if size == 0:
        raise FileError(Errno.INVAL)
    _file(run, descriptor).reach(offset + size)


def _fd_filestat_set_size(run: CoreRun, descriptor: int, size: int) -> None:
    run.descriptors.handle(descriptor).resize(size)


# ---------------------------------------------------------------- descriptors


def _fd_close(run: CoreRun, descriptor: int) -> None:
    run.descriptors.close(descriptor)


def _fd_renumber(run: CoreRun, old: int, new: int) -> None:
    run.descriptors.renumber(old, new)


def _fd_sync(run: CoreRun, descriptor: int) -> None:
    # Nothing is written anywhere but here.
    run.descriptors.get(descriptor)


def _fd_fdstat_get(run: CoreRun, descriptor: int, pointer: int) -> None:
    run.store(pointer, run.descriptors.get(descriptor).fdstat())


def _fd_fdstat_set_flags(run: CoreRun, descriptor: int, flags: int) -> None:
    found = run.descriptors.get(descriptor)
    if flags & ~FLAGS:
        raise FileError(Errno.INVAL)
    if isinstance(found, Opened):
        found.flags = flags


def _fd_filestat_get(run: CoreRun, descriptor: int, pointer: int) -> None:
    run.store(pointer, run.descriptors.get(descriptor).filestat())


def _fd_filestat_set_times(run: CoreRun, descriptor: int, atime_ns: int, mtime_ns: int, flags: int) -> None:
    node = run.descriptors.handle(descriptor).node
    run.host.files.set_times(node, *new_times(atime_ns, mtime_ns, flags))


def _fd_prestat_get(run: CoreRun, descriptor: int, pointer: int) -> None:
    path = run.descriptors.get(descriptor).preopened
    if not path:
        raise FileError(Errno.BADF)
    put(run, pointer, len(path) << 32, 8)


def _fd_prestat_dir_name(run: CoreRun, descriptor: int, pointer: int, size: int) -> None:
    path = run.descriptors.get(descriptor).preopened
    if not path:
        raise FileError(Errno.BADF)
    if size < len(path):
        raise FileError(Errno.NAMETOOLONG)
    run.store(pointer, path)


def _fd_readdir(run: CoreRun, descriptor: int, pointer: int, size: int, cookie: int, used: int) -> None:
    data = listed(run.descriptors.handle(descriptor), cookie, min(size, MAX_TRANSFER))
    run.store(pointer, data)
    put(run, used, len(data), 4)


# ---------------------------------------------------------------- what there is not


def _fd_fdstat_set_rights(run: CoreRun, descriptor: int, _base: int, _inheriting: int) -> int:
    return _only(run, descriptor, _NOTSUP)


def _no_socket(run: CoreRun, descriptor: int, *_arguments: int) -> int:
    return _only(run, descriptor, _NOTSOCK)


def _only(run: CoreRun, descriptor: int, error: int) -> int:
    try:
        run.descriptors.get(descriptor)
    except FileError:
        return NUMBERS[Errno.BADF]
    return error


_ANSWERED: Final[dict[str, tuple[str, Function]]] = {
    "fd_advise": ("iIIi", _fd_advise),
    "fd_allocate": ("iII", _fd_allocate),
    "fd_close": ("i", _fd_close),
    "fd_datasync": ("i", _fd_sync),
    "fd_fdstat_get": ("ii", _fd_fdstat_get),
    "fd_fdstat_set_flags": ("ii", _fd_fdstat_set_flags),
    "fd_filestat_get": ("ii", _fd_filestat_get),
    "fd_filestat_set_size": ("iI", _fd_filestat_set_size),
    "fd_filestat_set_times": ("iIIi", _fd_filestat_set_times),
    "fd_pread": ("iiiIi", _fd_pread),
    "fd_prestat_dir_name": ("iii", _fd_prestat_dir_name),
    "fd_prestat_get": ("ii", _fd_prestat_get),
    "fd_pwrite": ("iiiIi", _fd_pwrite),
    "fd_read": ("iiii", _fd_read),
    "fd_readdir": ("iiiIi", _fd_readdir),
    "fd_renumber": ("ii", _fd_renumber),
    "fd_seek": ("iIii", _fd_seek),
    "fd_sync": ("i", _fd_sync),
    "fd_tell": ("ii", _fd_tell),
    "fd_write": ("iiii", _fd_write),
}
FUNCTIONS: Final[dict[str, tuple[Signature, HostFunction]]] = {
    **answered_all(_ANSWERED),
    "fd_fdstat_set_rights": (("iII", "i"), _fd_fdstat_set_rights),
    "sock_accept": (("iii", "i"), _no_socket),
    "sock_recv": (("iiiiii", "i"), _no_socket),
    "sock_send": (("iiiii", "i"), _no_socket),
    "sock_shutdown": (("ii", "i"), _no_socket),
}

"""Files as WASI preview 1 has them, on the execution's own file system."""

from collections.abc import Callable
from typing import Final

from mvm_ci.adapters.wasm.core_host import CoreRun, HostFunction, Signature
from mvm_ci.adapters.wasm.preview1_descriptors import (
    APPEND,
    FD_READ,
    FD_WRITE,
    FLAGS,
    NUMBERS,
    SUCCESS,
    Opened,
    Stream,
    filestat,
    listed,
)
from mvm_ci.files.errors import Errno, FileError
from mvm_ci.files.handle import Handle, Mode
from mvm_ci.files.nodes import Directory
from mvm_ci.files.paths import MAX_PATH
from mvm_ci.files.system import NOW

_NOTSOCK: Final = 57
_NOTSUP: Final = 58
_MAX_PARTS: Final = 1_024
MAX_TRANSFER: Final = 16 << 20
"""Bytes that one call reads or writes at most: a few milliseconds' work."""
_ADVICES: Final = 6
_FOLLOW: Final = 1
_OPEN_MODES: Final = {1: Mode.CREATE, 2: Mode.DIRECTORY, 4: Mode.EXCLUSIVE, 8: Mode.TRUNCATE}
_END: Final = 2

Function = Callable[..., None]


def _answered(function: Function) -> HostFunction:
    def call(run: CoreRun, *arguments: int) -> int:
        try:
            function(run, *arguments)
        except FileError as error:
            return NUMBERS[error.errno]
        return SUCCESS

    return call


def number(data: bytes, at: int, size: int) -> int:
    """The unsigned number of ``size`` bytes at ``at``."""
    return int.from_bytes(data[at : at + size], "little")


def _put(run: CoreRun, pointer: int, value: int, size: int) -> None:
    run.store(pointer, value.to_bytes(size, "little"))


def _parts(run: CoreRun, pointer: int, count: int) -> list[tuple[int, int]]:
    """The pieces of memory of a vector, cut off where a call's most bytes are reached."""
    if count > _MAX_PARTS:
        raise FileError(Errno.INVAL)
    table, room = run.read(pointer, 8 * count), MAX_TRANSFER
    parts = []
    for at in range(0, 8 * count, 8):
        size = min(number(table, at + 4, 4), room)
        parts.append((number(table, at, 4), size))
        room -= size
    return parts


def _gathered(run: CoreRun, pointer: int, count: int) -> bytes:
    return b"".join(run.read(at, size) for at, size in _parts(run, pointer, count))


def _scattered(run: CoreRun, parts: list[tuple[int, int]], data: bytes, done: int) -> None:
    """Fills ``parts`` with ``data``, and says at ``done`` how much it was."""
    taken = 0
    for at, size in parts:
        run.store(at, data[taken : taken + size])
        taken += size
    _put(run, done, len(data), 4)


def _directory(run: CoreRun, descriptor: int) -> Directory:
    return run.descriptors.handle(descriptor).directory


def _path(run: CoreRun, pointer: int, size: int) -> str:
    if size > MAX_PATH:
        raise FileError(Errno.NAMETOOLONG)
    try:
        return run.read(pointer, size).decode()
    except UnicodeDecodeError:
        raise FileError(Errno.ILSEQ) from None


def _times(atime_ns: int, mtime_ns: int, flags: int) -> tuple[int | None, int | None]:
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
        _put(run, done, 0, 4)


def _fd_write(run: CoreRun, descriptor: int, pointer: int, count: int, done: int) -> None:
    found = run.descriptors.get(descriptor)
    data = _gathered(run, pointer, count)
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
    _put(run, done, size, 4)


def _fd_pread(run: CoreRun, descriptor: int, pointer: int, count: int, offset: int, done: int) -> None:
    handle, parts = _file(run, descriptor), _parts(run, pointer, count)
    _scattered(run, parts, handle.read_at(offset, sum(size for _, size in parts)), done)


def _fd_pwrite(run: CoreRun, descriptor: int, pointer: int, count: int, offset: int, done: int) -> None:
    _put(run, done, _file(run, descriptor).write_at(offset, _gathered(run, pointer, count)), 4)


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
    _put(run, pointer, position, 8)


def _fd_tell(run: CoreRun, descriptor: int, pointer: int) -> None:
    handle = _file(run, descriptor)
    _put(run, pointer, handle.position, 8)


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
    run.host.files.set_times(node, *_times(atime_ns, mtime_ns, flags))


def _fd_prestat_get(run: CoreRun, descriptor: int, pointer: int) -> None:
    path = run.descriptors.get(descriptor).preopened
    if not path:
        raise FileError(Errno.BADF)
    _put(run, pointer, len(path) << 32, 8)


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
    _put(run, used, len(data), 4)


# ---------------------------------------------------------------- paths


def _path_open(  # noqa: PLR0913, PLR0917 - the arguments of WASI
    run: CoreRun,
    descriptor: int,
    lookup: int,
    path: int,
    path_size: int,
    how: int,
    rights: int,
    _inheriting: int,
    flags: int,
    opened: int,
) -> None:
    if how >> 4 or flags & ~FLAGS:
        raise FileError(Errno.INVAL)
    mode = Mode(0)
    for bit, part in _OPEN_MODES.items():
        if how & bit:
            mode |= part
    if rights & FD_READ:
        mode |= Mode.READ
    if rights & FD_WRITE:
        mode |= Mode.WRITE
    if lookup & _FOLLOW:
        mode |= Mode.FOLLOW
    start, text = _directory(run, descriptor), _path(run, path, path_size)
    handle = run.host.files.open(start, text, mode)
    _put(run, opened, run.descriptors.add(Opened(handle, flags)), 4)


def _path_filestat_get(
    run: CoreRun, descriptor: int, lookup: int, path: int, size: int, pointer: int
) -> None:
    start = _directory(run, descriptor)
    stat = run.host.files.stat(start, _path(run, path, size), follow=bool(lookup & _FOLLOW))
    run.store(pointer, filestat(stat))


def _path_filestat_set_times(
    run: CoreRun,
    descriptor: int,
    lookup: int,
    path: int,
    size: int,
    atime_ns: int,
    mtime_ns: int,
    flags: int,
) -> None:
    start, text = _directory(run, descriptor), _path(run, path, size)
    times = _times(atime_ns, mtime_ns, flags)
    run.host.files.set_times_at(start, text, *times, follow=bool(lookup & _FOLLOW))


def _path_create_directory(run: CoreRun, descriptor: int, path: int, size: int) -> None:
    run.host.files.make_directory(_directory(run, descriptor), _path(run, path, size))


def _path_remove_directory(run: CoreRun, descriptor: int, path: int, size: int) -> None:
    run.host.files.remove_directory(_directory(run, descriptor), _path(run, path, size))


def _path_unlink_file(run: CoreRun, descriptor: int, path: int, size: int) -> None:
    run.host.files.unlink(_directory(run, descriptor), _path(run, path, size))


def _path_link(
    run: CoreRun, descriptor: int, lookup: int, path: int, size: int, other: int, new: int, new_size: int
) -> None:
    if lookup & _FOLLOW:
        raise FileError(Errno.INVAL)
    old = _directory(run, descriptor), _path(run, path, size)
    run.host.files.link(*old, _directory(run, other), _path(run, new, new_size))


def _path_rename(
    run: CoreRun, descriptor: int, path: int, size: int, other: int, new: int, new_size: int
) -> None:
    old = _directory(run, descriptor), _path(run, path, size)
    run.host.files.rename(*old, _directory(run, other), _path(run, new, new_size))


def _path_symlink(run: CoreRun, target: int, target_size: int, descriptor: int, path: int, size: int) -> None:
    text = _path(run, target, target_size)
    run.host.files.symlink(text, _directory(run, descriptor), _path(run, path, size))


def _path_readlink(
    run: CoreRun, descriptor: int, path: int, size: int, pointer: int, room: int, used: int
) -> None:
    target = run.host.files.read_link(_directory(run, descriptor), _path(run, path, size)).encode()[:room]
    run.store(pointer, target)
    _put(run, used, len(target), 4)


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
    "path_create_directory": ("iii", _path_create_directory),
    "path_filestat_get": ("iiiii", _path_filestat_get),
    "path_filestat_set_times": ("iiiiIIi", _path_filestat_set_times),
    "path_link": ("iiiiiii", _path_link),
    "path_open": ("iiiiiIIii", _path_open),
    "path_readlink": ("iiiiii", _path_readlink),
    "path_remove_directory": ("iii", _path_remove_directory),
    "path_rename": ("iiiiii", _path_rename),
    "path_symlink": ("iiiii", _path_symlink),
    "path_unlink_file": ("iii", _path_unlink_file),
}
FUNCTIONS: Final[dict[str, tuple[Signature, HostFunction]]] = {
    **{name: ((letters, "i"), _answered(function)) for name, (letters, function) in _ANSWERED.items()},
    "fd_fdstat_set_rights": (("iII", "i"), _fd_fdstat_set_rights),
    "sock_accept": (("iii", "i"), _no_socket),
    "sock_recv": (("iiiiii", "i"), _no_socket),
    "sock_send": (("iiiii", "i"), _no_socket),
    "sock_shutdown": (("ii", "i"), _no_socket),
}

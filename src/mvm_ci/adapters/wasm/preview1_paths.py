"""Paths of WASI preview 1, on the execution's own file system."""

from typing import Final

from mvm_ci.adapters.wasm.core_host import CoreRun
from mvm_ci.adapters.wasm.preview1_descriptors import FD_READ, FD_WRITE, FLAGS, Opened, filestat
from mvm_ci.adapters.wasm.preview1_files import Function, answered_all, new_times, put
from mvm_ci.files.errors import Errno, FileError
from mvm_ci.files.handle import Mode
from mvm_ci.files.nodes import Directory
from mvm_ci.files.paths import MAX_PATH

_FOLLOW: Final = 1
_OPEN_MODES: Final = {1: Mode.CREATE, 2: Mode.DIRECTORY, 4: Mode.EXCLUSIVE, 8: Mode.TRUNCATE}


def _directory(run: CoreRun, descriptor: int) -> Directory:
    return run.descriptors.handle(descriptor).directory


def _path(run: CoreRun, pointer: int, size: int) -> str:
    if size > MAX_PATH:
        raise FileError(Errno.NAMETOOLONG)
    try:
        return run.read(pointer, size).decode()
    except UnicodeDecodeError:
        raise FileError(Errno.ILSEQ) from None


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
    put(run, opened, run.descriptors.add(Opened(handle, flags)), 4)


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
    times = new_times(atime_ns, mtime_ns, flags)
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
    put(run, used, len(target), 4)


_ANSWERED: Final[dict[str, tuple[str, Function]]] = {
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
FUNCTIONS: Final = answered_all(_ANSWERED)

"""Keeps the files of the job and its packages in memory when the guest is built: at run time there are no others.

What reads files by the standard library's ways finds them where they were: ``open``, ``pathlib``, ``importlib.resources``,
``importlib.metadata``, ``pkgutil.get_data``, imports, the source lines of tracebacks. They cannot be changed.
"""

import _io
import builtins
import errno
import io
import os
import posix
import stat
import sys
import tokenize
import zlib

# By path: its size, and its content compressed.
_files = {}
_directories = {}


def install():
    """Replaces the functions that read files; to be called before anybody takes them for a name of its own."""
    for module, name, function in (
        (builtins, "open", _open),
        (io, "open", _open),
        (_io, "open", _open),
        (_io, "open_code", _open_code),
        (io, "open_code", _open_code),
        (tokenize, "_builtin_open", _open),
        *((module, name, globals()[f"_{name}"]) for module in (os, posix) for name in ("stat", "lstat", "listdir", "scandir")),
    ):  # fmt: skip
        setattr(module, name, function)


def keep(roots, left_out):
    """Reads all files below ``roots``, but for those in a root itself whose names begin with ``left_out``."""
    for root in roots:
        for directory, inner, names in os.walk(root):
            inner[:] = [name for name in sorted(inner) if name != "__pycache__"]
            names = [name for name in sorted(names) if directory != root or not name.startswith(left_out)]
            _directories[directory] = (*inner, *names)
            for name in names:
                path = f"{directory}/{name}"
                with _real["open"](path, "rb") as file:
                    data = file.read()
                _files[path] = len(data), zlib.compress(data, 9)
    sys.dont_write_bytecode = True


def _path(given):
    """The kept file or directory that ``given`` names, or None."""
    try:
        path = os.fspath(given)
    except TypeError:
        return None  # a descriptor
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    path = os.path.normpath(path)
    return path if path in _files or path in _directories else None


class _File(io.BytesIO):
    def __init__(self, path):
        super().__init__(zlib.decompress(_files[path][1]))
        self.name = path
        self.mode = "rb"

    def writable(self):
        return False

    def write(self, data):
        raise io.UnsupportedOperation("not writable")

    writelines = truncate = write


def _open(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
    path = _path(file) if _files else None
    if path is None:
        return _real["open"](file, mode, buffering, encoding, errors, newline, closefd, opener)
    if path in _directories:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), file)
    if set(mode) & set("wax+"):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), file)
    binary = _File(path)
    if "b" in mode:
        return binary
    return io.TextIOWrapper(binary, io.text_encoding(encoding), errors, newline)


def _open_code(path):
    return _open(path, "rb")


def _stat(path, *, dir_fd=None, follow_symlinks=True):
    found = _path(path) if _files and dir_fd is None else None
    if found is None:
        return _real["stat"](path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
    return _status(found)


def _lstat(path, *, dir_fd=None):
    return _stat(path, dir_fd=dir_fd, follow_symlinks=False)


def _status(path):
    if path in _directories:
        return os.stat_result((stat.S_IFDIR | 0o555, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    return os.stat_result((stat.S_IFREG | 0o444, 0, 0, 1, 0, 0, _files[path][0], 0, 0, 0))


def _names(path):
    found = _path(path) if _files else None
    if found in _files:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    return None if found is None else (found, _directories[found])


def _listdir(path="."):
    found = _names(path)
    return _real["listdir"](path) if found is None else list(found[1])


def _scandir(path="."):
    found = _names(path)
    return _real["scandir"](path) if found is None else _Entries(os.fspath(path), *found)


class _Entries:
    """What ``os.scandir`` returns: an iterator that can be closed."""

    def __init__(self, given, path, names):
        self._left = iter([_Entry(os.path.join(given, name), name, f"{path}/{name}") for name in names])

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._left)

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        self.close()

    def close(self):
        self._left = iter(())


class _Entry:
    """``os.DirEntry`` of a kept file."""

    def __init__(self, path, name, kept):
        self.path, self.name, self._kept = path, name, kept

    def __fspath__(self):
        return self.path

    def inode(self):
        return 0

    def is_dir(self, *, follow_symlinks=True):
        return self._kept in _directories

    def is_file(self, *, follow_symlinks=True):
        return self._kept in _files

    def is_symlink(self):
        return False

    def is_junction(self):
        return False

    def stat(self, *, follow_symlinks=True):
        return _status(self._kept)


_real = {"open": io.open, "stat": os.stat, "listdir": os.listdir, "scandir": os.scandir}

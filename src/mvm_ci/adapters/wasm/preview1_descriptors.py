"""Descriptors of WASI preview 1: their numbers, and how what is known of them looks in a guest's memory."""

import heapq
import struct
from typing import Final

from mvm_ci.files.errors import Errno, FileError
from mvm_ci.files.handle import Handle, Mode
from mvm_ci.files.nodes import Kind, Stat
from mvm_ci.files.system import FileSystem

SUCCESS: Final = 0
NUMBERS: Final = {
    Errno.BADF: 8,
    Errno.BUSY: 10,
    Errno.EXIST: 20,
    Errno.FBIG: 22,
    Errno.ILSEQ: 25,
    Errno.INVAL: 28,
    Errno.ISDIR: 31,
    Errno.LOOP: 32,
    Errno.MFILE: 33,
    Errno.NAMETOOLONG: 37,
    Errno.NOENT: 44,
    Errno.NOSPC: 51,
    Errno.NOTDIR: 54,
    Errno.NOTEMPTY: 55,
    Errno.PERM: 63,
    Errno.ROFS: 69,
    Errno.SPIPE: 70,
    Errno.XDEV: 75,
}
APPEND: Final = 1
FLAGS: Final = 0b11111
FD_READ: Final = 1 << 1
FD_WRITE: Final = 1 << 6

_CHARACTER_DEVICE: Final = 2
_TYPES: Final = {Kind.DIRECTORY: 3, Kind.FILE: 4, Kind.SYMLINK: 7}
_DEVICE: Final = 1


def _rights(*bits: int) -> int:
    return sum(1 << bit for bit in bits)


_ALL: Final = (1 << 64) - 1
# What file and directory descriptors can do at all, by the bits of the type ``rights``: a C library looks for
# them before it asks.
_OF_FILES: Final = _rights(0, 1, 2, 3, 4, 5, 6, 7, 8, 21, 22, 23, 27)
_OF_DIRECTORIES: Final = _rights(3, 4, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21, 23, 24, 25, 26)

_FDSTAT: Final = struct.Struct("<BxHxxxxQQ")
_FILESTAT: Final = struct.Struct("<QQB7xQQQQQ")
_DIRENT: Final = struct.Struct("<QQIBxxx")
_U64: Final = (1 << 64) - 1


class Stream:
    """One of the three descriptors that each guest begins with. ``name``: of where its text goes; empty for
    what is read, of which there is nothing.
    """

    __slots__ = ("name",)
    preopened: Final = b""

    def __init__(self, name: str) -> None:
        self.name: Final = name

    def fdstat(self) -> bytes:
        """A character device with all rights: a C library takes it for a terminal, and flushes each line."""
        return _FDSTAT.pack(_CHARACTER_DEVICE, 0, _ALL, _ALL)

    def filestat(self) -> bytes:
        """The same as a file."""
        return _FILESTAT.pack(0, 0, _CHARACTER_DEVICE, 1, 0, 0, 0, 0)

    def close(self) -> None:
        """Nothing is to be freed."""


class Opened:
    """A file or directory. ``preopened``: its path, if the guest begins with it."""

    __slots__ = ("flags", "handle", "preopened")

    def __init__(self, handle: Handle, flags: int, preopened: bytes = b"") -> None:
        self.handle: Final = handle
        self.flags = flags
        self.preopened: Final = preopened

    def fdstat(self) -> bytes:
        """Its type, flags and rights."""
        kind = self.handle.node.kind
        if kind is Kind.DIRECTORY:
            return _FDSTAT.pack(_TYPES[kind], self.flags, _OF_DIRECTORIES, _OF_DIRECTORIES | _OF_FILES)
        rights = _OF_FILES
        if not self.handle.reading:
            rights &= ~FD_READ
        if not self.handle.writing:
            rights &= ~FD_WRITE
        return _FDSTAT.pack(_TYPES[kind], self.flags, rights, 0)

    def filestat(self) -> bytes:
        """All that is known of it."""
        return filestat(self.handle.stat())

    def close(self) -> None:
        """Ends its use."""
        self.handle.close()


class Descriptors:
    """The open descriptors of one run, by number: the lowest free one is the next."""

    def __init__(self, files: FileSystem) -> None:
        root = Opened(files.open_node(files.root, Mode.READ), 0, b"/")
        self._open: dict[int, Stream | Opened] = dict(
            enumerate((Stream(""), Stream("stdout"), Stream("stderr"), root))
        )
        self._free: list[int] = []

    def get(self, number: int) -> Stream | Opened:
        """The descriptor of that number. Raises ``FileError`` (``BADF``)."""
        found = self._open.get(number)
        if found is None:
            raise FileError(Errno.BADF)
        return found

    def handle(self, number: int) -> Handle:
        """What is open under that number, if it is a file or a directory; streams are a bad descriptor."""
        found = self.get(number)
        if isinstance(found, Stream):
            raise FileError(Errno.BADF)
        return found.handle

    def add(self, descriptor: Opened) -> int:
        """Gives it a number."""
        number = heapq.heappop(self._free) if self._free else len(self._open)
        self._open[number] = descriptor
        return number

    def close(self, number: int) -> None:
        """Ends the use of that number."""
        self.get(number).close()
        del self._open[number]
        heapq.heappush(self._free, number)

    def renumber(self, old: int, new: int) -> None:
        """What had the number ``old`` has ``new`` from now on, and what had ``new`` is closed."""
        moved, replaced = self.get(old), self.get(new)
        if moved is not replaced:
            replaced.close()
            self._open[new] = moved
            del self._open[old]
            heapq.heappush(self._free, old)


def filestat(stat: Stat) -> bytes:
    """What is known of a node."""
    times = (time & _U64 for time in (stat.atime_ns, stat.mtime_ns, stat.ctime_ns))
    return _FILESTAT.pack(_DEVICE, stat.inode, _TYPES[stat.kind], stat.links, stat.size, *times)


def listed(handle: Handle, cookie: int, size: int) -> bytes:
    """What ``fd_readdir`` writes, at most ``size`` bytes, the last entry perhaps cut off: from the entry
    behind ``cookie`` on, of the directory as it was when it was read from its beginning.
    """
    directory = handle.directory
    names = (".", "..", *handle.names(again=cookie == 0))
    parts, room = [], size
    for index in range(cookie, len(names)):
        around = (directory, directory.parent or directory)
        node = around[index] if index < len(around) else directory.get(names[index])
        if node is None:
            continue  # removed meanwhile
        name = names[index].encode()
        parts.append(_DIRENT.pack(index + 1, node.inode, len(name), _TYPES[node.kind]) + name)
        room -= len(parts[-1])
        if room <= 0:
            break
    return b"".join(parts)[:size]

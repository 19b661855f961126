"""A file or directory that is open."""

from enum import Flag, auto
from typing import Final, Protocol
from weakref import proxy

from mvm_ci.files.errors import Errno, FileError
from mvm_ci.files.nodes import Directory, File, Node, Stat


class Mode(Flag):
    """How something is opened. ``FOLLOW``: through a symbolic link; ``EXCLUSIVE``: what is there is an error;
    ``DIRECTORY``: what is none is an error.
    """

    READ = auto()
    WRITE = auto()
    CREATE = auto()
    EXCLUSIVE = auto()
    TRUNCATE = auto()
    DIRECTORY = auto()
    FOLLOW = auto()


class Owner(Protocol):
    """The file system whose node is open."""

    def room(self, file: File, offset: int) -> int:
        """How many bytes can be put into a file there."""
        ...

    def write(self, file: File, offset: int, data: bytes) -> int:
        """Puts bytes into a file."""
        ...

    def resize(self, file: File, size: int) -> None:
        """Changes a file's size."""
        ...

    def closed(self, handle: "Handle") -> None:
        """The handle is not used any more."""
        ...


class Handle:
    """``position``: where the next ``read`` or ``write`` begins, in bytes.

    Operations raise ``FileError``, those of files on directories (``ISDIR``), too.
    """

    __slots__ = ("_listing", "_owner", "node", "position", "reading", "writing")

    def __init__(self, owner: Owner, node: Node, mode: Mode) -> None:
        # The owner holds its handles: without this circle all is freed at once when nobody has it any more.
        self._owner: Owner = proxy(owner)
        self._listing: tuple[str, ...] | None = None
        self.node: Final = node
        self.reading: Final = Mode.READ in mode
        self.writing: Final = Mode.WRITE in mode
        self.position = 0

    @property
    def directory(self) -> Directory:
        """What is open, if it is a directory."""
        if not isinstance(self.node, Directory):
            raise FileError(Errno.NOTDIR)
        return self.node

    @property
    def file(self) -> File:
        """What is open, if it is a file."""
        if not isinstance(self.node, File):
            raise FileError(Errno.ISDIR)
        return self.node

    def stat(self) -> Stat:
        """All that is known of it."""
        return self.node.stat()

    def room(self, offset: int | None) -> int:
        """How many bytes can be put at ``offset`` (None: at the end), at least one. Raises ``FileError``."""
        file = self._written
        return self._owner.room(file, file.size if offset is None else offset)

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes from ``offset``; fewer at the end of the file."""
        file = self.file
        if not self.reading:
            raise FileError(Errno.BADF)
        return file.content.read(offset, size)

    def write_at(self, offset: int, data: bytes) -> int:
        """Puts ``data`` at ``offset``; returns how many bytes there was room for."""
        return self._owner.write(self._written, offset, data)

    def append(self, data: bytes) -> int:
        """Puts ``data`` at the end."""
        file = self._written
        return self._owner.write(file, file.size, data)

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes from ``position``, which moves."""
        data = self.read_at(self.position, size)
        self.position += len(data)
        return data

    def write(self, data: bytes) -> int:
        """Puts ``data`` at ``position``, which moves."""
        size = self.write_at(self.position, data)
        self.position += size
        return size

    def resize(self, size: int) -> None:
        """Cuts the file off, or makes a hole at its end."""
        file = self.file
        if not self.writing:
            raise FileError(Errno.INVAL)
        self._owner.resize(file, size)

    def reach(self, size: int) -> None:
        """The file has at least ``size`` bytes afterwards."""
        if size > self._written.size:
            self._owner.resize(self._written, size)

    def names(self, *, again: bool) -> tuple[str, ...]:
        """The directory's names, sorted, as they were when they were asked for first, or with ``again``."""
        directory = self.directory
        if self._listing is None or again:
            self._listing = directory.names()
        return self._listing

    def close(self) -> None:
        """Ends its use."""
        self._owner.closed(self)

    @property
    def _written(self) -> File:
        file = self.file
        if not self.writing:
            raise FileError(Errno.BADF)
        return file
